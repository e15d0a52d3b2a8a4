# `make measure` and `make test` set up what they need in .venv, once, and run. `make check` is for those who change the code.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?= --numprocesses auto --dist worksteal
MEASURE_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help measure test test-slow check format clean

help:
	@echo "make measure   d90 of MiniLM on Rotten Tomatoes, on this machine (MEASURE_ARGS=... for other flags)"
	@echo "make test      the default test suite (PYTEST_ARGS=... to choose); make test-slow: the rest"
	@echo "make check     ruff, mypy --strict, import layers"
	@echo "make clean     remove $(VENV) and caches"

measure: $(VENV)/.offline
	$(BIN)/intrinsic measure $(MEASURE_ARGS)

test: $(VENV)/.offline $(VENV)/.test $(VENV)/.plugin
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-slow: $(VENV)/.offline $(VENV)/.test $(VENV)/.plugin
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict intrinsic cli tests/plugin/outsider
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info tests/plugin/*.egg-info tests/plugin/build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "intrinsic needs Python 3.11 or newer, got " + sys.version.split()[0] + "; call make with PYTHON=python3.12, say")'
	$(PYTHON) -m venv $(VENV)

# One stamp an extra; a change of the pins, of the dependencies or of the kernels in C installs again.
$(VENV)/.%: pyproject.toml constraints.txt $(wildcard intrinsic/kernels/csrc/*.[ch]) | $(BIN)/python
	@rm -f intrinsic/kernels/_native*.so  # were they not to compile any more, the old ones would stay
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	@touch $@

# The package that the tests take for another's; it is built with the setuptools of the extra `test`, and asks no index.
$(VENV)/.plugin: tests/plugin/pyproject.toml $(VENV)/.test
	$(BIN)/python -m pip install --quiet --no-deps --no-index --no-build-isolation --editable tests/plugin
	@touch $@
