"""The public surface is a tested list, and importing it is free."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import intrinsic

EXPECTED = [
    *("METHODS", "MODELS", "PROJECTIONS", "TASKS", "CertifySpec", "CompareResult", "CompareSpec", "Contender"),
    *("IntrinsicError", "MeasureResult", "MeasureSpec", "MethodSpec", "ModelSpec", "OptimSpec", "Projection"),
    *("SearchResult", "SearchSpec", "SeedSpec", "Subspace", "TargetSpec", "TaskSpec", "TrialResult", "TrialSpec"),
    *("bound", "certify", "compare", "load_model", "load_task", "make_projection", "measure", "parse_contenders"),
    *("read_measurement", "run_trial", "verify", "write_report"),
]


def test_the_public_names_are_these() -> None:
    assert intrinsic.__all__ == EXPECTED
    assert len(EXPECTED) <= 35


@pytest.mark.parametrize("name", EXPECTED)
def test_every_public_name_resolves_and_says_what_it_is(name: str) -> None:
    value = getattr(intrinsic, name)
    assert not isinstance(value, type(intrinsic)), f"{name} is a module"
    if callable(value):
        assert value.__doc__


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Subspaces'; it offers METHODS"):
        intrinsic.Subspaces  # noqa: B018


LIGHT = [
    *("comparison", "spec", "records", "errors", "search", "store"),
    *("report", "executor", "measurement", "models", "tasks"),
]


@pytest.mark.parametrize("name", ["intrinsic", *LIGHT, "methods"])
def test_rooms_that_must_start_at_once_import_no_torch(name: str) -> None:
    module = name if name == "intrinsic" else f"intrinsic.{name}"
    code = f"import {module}, sys; print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_registries_and_records_hold_no_duplicate_version() -> None:
    """One fact in one place: the version in pyproject.toml is the package's."""
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    assert f'version = "{intrinsic.__version__}"' in project


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(intrinsic.__file__).read_text())
    names = {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    assert set(EXPECTED) <= names


def test_every_package_is_installed() -> None:
    """setuptools takes a list, because the command line's folder has another name once it is installed."""
    root = Path(__file__).parent.parent
    listed = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [".".join(path.parent.relative_to(root).parts) for path in (root / "intrinsic").rglob("__init__.py")]
    assert sorted(listed) == sorted([*found, "intrinsic_cli"])
