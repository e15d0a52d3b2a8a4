"""Entries of other packages that are kept out, or named in an error, instead of breaking a command for everyone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toy import loaded

from intrinsic import measure
from intrinsic.errors import SpecError
from intrinsic.executor import make_executor
from intrinsic.methods import METHODS, attach, check_under_subspace
from intrinsic.methods.catalogue import aliases
from intrinsic.models import MODELS, load_model
from intrinsic.plugins import check_call, entries_of
from intrinsic.problems import METRICS, PROBLEMS
from intrinsic.projections import make_projection
from intrinsic.spec import PRESETS, MethodSpec, ModelSpec, SeedSpec, TaskSpec
from intrinsic.tasks import TASKS, load_task

Cli = Callable[..., tuple[int, str, str]]
ENTRIES = """
[intrinsic.methods]
said = gruff_package.absent:METHOD
leaves = gruff_package:LEAVES
asks-little = gruff_package:ASKS_LITTLE
rateless = gruff_package:RATELESS
no-rate = gruff_package:NO_RATE
untold = gruff_package:UNTOLD
letter-params = gruff_package:PARAMS
letter-lr = gruff_package:LR
letter-of = gruff_package:OF
letter-option = gruff_package:OPTION
half-size = gruff_package:HALF_SIZE

[intrinsic.projections]
fastfood = gruff_package.projection:Told
told = gruff_package.projection:Told
plain = gruff_package.projection:Plain
lacking = gruff_package.projection:Lacking
left = gruff_package.exits:PROJECTION
unprintable = gruff_package.projection:UNPRINTABLE

[intrinsic.tasks]
undescribed = gruff_package:UNDESCRIBED
heard = gruff_package:HEARD
one-metric = gruff_package:ONE_METRIC
takes-none = gruff_package:TAKES_NONE
gives-seven = gruff_package:GIVES_SEVEN

[intrinsic.models]
heard = gruff_package:HEARD_MODEL
takes-none = gruff_package:TAKES_NONE_MODEL
gives-seven = gruff_package:GIVES_SEVEN_MODEL

[intrinsic.metrics]
uncalled = gruff_package:UNCALLED

[intrinsic.problems]
nameless = gruff_package:NAMELESS
one-metric = gruff_package:ONE_METRIC_PROBLEM

[intrinsic.executors]
leaves = gruff_package:LEAVES_EXECUTOR
slotless = gruff_package:SLOTLESS
"""
PACKAGE = """
from dataclasses import replace
from intrinsic.executor import ExecutorInfo
from intrinsic.methods import Method, Size
from intrinsic.models import ModelInfo
from intrinsic.problems import Metric
from intrinsic.problems.regression import Regression
from intrinsic.spec import Frozen
from intrinsic.tasks import TASKS, TaskInfo

class Options(Frozen):
    rows: int = 1
    deep: int = 1

def leave(*given): raise SystemExit("bye")
def little(loaded, spec): raise ZeroDivisionError
def none(): raise ZeroDivisionError
def seven(*given, **named): return 7

class Slotless:
    start = poll = abort = close = none
    slots = property(leave)

LEAVES = Method("leaves when attached", "gruff_package:leave", Options)
ASKS_LITTLE = Method("takes two arguments", "gruff_package:little", Options)
RATELESS = replace(LEAVES, rates=())
NO_RATE = replace(LEAVES, rates=(0.0,))
UNTOLD = replace(LEAVES, description=None)
PARAMS, LR, OF, OPTION = (replace(LEAVES, size=Size("rows", letter)) for letter in ("params", "lr", "of", "deep"))
HALF_SIZE = replace(LEAVES, size=Size("rows", "w", grid=(0.5, 1)))

DIGITS = TASKS["digits"]
UNDESCRIBED = replace(DIGITS, name="undescribed", description=None)
HEARD = replace(DIGITS, name="heard", kind="audio")
ONE_METRIC = replace(DIGITS, name="one-metric", metrics="accuracy")
TAKES_NONE = replace(DIGITS, name="takes-none", loader="gruff_package:none")
GIVES_SEVEN = replace(DIGITS, name="gives-seven", loader="gruff_package:seven")
HEARD_MODEL = ModelInfo("audio", "a model that hears", "gruff_package:seven")
TAKES_NONE_MODEL = ModelInfo("vision", "a model whose loader takes nothing", "gruff_package:none")
GIVES_SEVEN_MODEL = ModelInfo("vision", "a model whose loader gives a number", "gruff_package:seven")
UNCALLED = Metric("no function")

class Nameless(Regression):
    name, description = "nameless", None

class OneMetric(Regression):
    name, metrics = "one-metric", "mse"

NAMELESS, ONE_METRIC_PROBLEM = Nameless(), OneMetric()
LEAVES_EXECUTOR = ExecutorInfo("leaves when made", "gruff_package:leave")
SLOTLESS = ExecutorInfo("leaves when asked for its slots", "gruff_package:slotless")
def slotless(jobs, runner): return Slotless()
"""
PROJECTION = """
from intrinsic.projections import Projection

class Plain(Projection):
    def _forward(self, theta, key, n): return theta[:1].expand(n)
    def _adjoint(self, grad, key): return grad

class Told(Plain):
    description = "the first number everywhere"

class Lacking(Projection):
    def _forward(self, theta, key, n): return theta

class Unprintable:
    def __repr__(self): raise SystemExit("bye")

UNPRINTABLE = Unprintable()
"""


@pytest.fixture(scope="module", autouse=True)
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    files = {
        "gruff-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: gruff\nVersion: 1.0\n",
        "gruff-1.0.dist-info/entry_points.txt": ENTRIES,
        "gruff_package/__init__.py": PACKAGE,
        "gruff_package/projection.py": PROJECTION,
        "gruff_package/exits.py": "import sys\nsys.exit('bye')",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        entries_of.cache_clear()
        yield
    entries_of.cache_clear()


COMPLAINTS: dict[tuple[str, str], str] = {
    ("method", "rateless"): r"must have learning rates above 0 to begin with, got \(\)",
    ("method", "no-rate"): r"must have learning rates above 0 to begin with, got \(0.0,\)",
    ("method", "untold"): "must have a text as its field 'description', got None",
    ("method", "letter-params"): "has the letter 'params' for its size, which means another setting",
    ("method", "letter-lr"): "has the letter 'lr' for its size, which means another setting",
    ("method", "letter-of"): "has the letter 'of' for its size, which means another setting",
    ("method", "letter-option"): "has the letter 'deep' for its size, which means another setting",
    ("method", "half-size"): r"has a size that must have tuple\[int, ...\] as its field 'grid', got \(0.5, 1\)",
    ("task", "undescribed"): "must have a text as its field 'description', got None",
    ("task", "heard"): "must have 'text' or 'vision' as its field 'kind', got 'audio'",
    ("task", "one-metric"): "must have a tuple of texts as its field 'metrics', got 'accuracy'",
    ("model", "heard"): "must have 'text' or 'vision' as its field 'kind', got 'audio'",
    ("metric", "uncalled"): "must have a function as its field 'function', got 'no function'",
    ("problem", "nameless"): "must have a text as its field 'description', got None",
    ("problem", "one-metric"): "must have a tuple of texts as its field 'metrics', got 'mse'",
}
"""What is said of each entry that is left out, by kind and name."""
REGISTRIES: dict[str, Any] = {"method": METHODS, "task": TASKS, "model": MODELS, "metric": METRICS, "problem": PROBLEMS}


@pytest.mark.parametrize(("kind", "name"), COMPLAINTS)
def test_it_is_an_error_where_it_is_asked_for(kind: str, name: str) -> None:
    told = COMPLAINTS[kind, name]
    with pytest.raises(SpecError, match=f"^{kind} '{name}' of the package gruff {told}: repair or uninstall the"):
        REGISTRIES[kind][name]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_ls_names_it_and_leaves_it_out(cli: Cli, kind: str) -> None:
    code, out, err = cli("ls", f"{kind}s")
    assert code == 0
    kept_out = {name for known, name in COMPLAINTS if known == kind}
    assert not kept_out & {line.split()[0] for line in out.splitlines()}
    assert kept_out <= set(re.findall(f"^intrinsic: {kind} '(.*)' of the package gruff ", err, re.MULTILINE))


@pytest.mark.parametrize("kind", REGISTRIES)
def test_our_own_entries_meet_what_is_asked_of_others(kind: str) -> None:
    registry = REGISTRIES[kind]
    own = [
        name for name in registry if registry.is_own(name) and name not in ("subspace", *METHODS["subspace"].aliases)
    ]
    wrong = {name: told for name in own if (told := registry._complaint(name, registry[name]))}
    assert {name: told for name, told in wrong.items() if "a name of this package's own" not in told} == {}


def test_an_alias_of_ours_is_taken_over_by_nobody(cli: Cli) -> None:
    assert aliases()["said"] == ("subspace", {"structure_aware": True})
    assert "said" not in METHODS
    assert "method 'said' of the package gruff is ignored: it exists\n" in cli("ls", "methods")[2]
    code, _, err = cli("compare", "--task", "digits", "--model", "mlp", "--methods", "said:d=10", "--dry-run")
    assert (code, err) == (0, "")


def test_ls_projections_shows_what_is_sound_and_names_the_rest(cli: Cli) -> None:
    code, out, err = cli("ls", "projections")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert rows["told"].split(maxsplit=1)[1].strip() == "the first number everywhere"
    assert "of the package gruff" in rows["plain"]
    assert "Le et al." in rows["fastfood"]
    assert not {"lacking", "left", "unprintable"} & rows.keys()
    for name, told in {
        "fastfood": "is ignored: it exists",
        "lacking": "lacks the method '_adjoint'",
        "left": r"cannot be loaded \(SystemExit: bye\)",
        "unprintable": "must be a Projection's class, got an object of the type Unprintable, whose repr raises",
    }.items():
        assert re.search(f"^intrinsic: projection '{name}' of the package gruff {told}", err, re.MULTILINE)


def test_ls_projections_needs_no_torch_for_our_own() -> None:
    code = (
        "import sys; from intrinsic_cli import ls, main\n"
        "ls.entries_of = lambda kind: {}\n"
        "assert main.main(['ls', 'projections']) == 0\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["lacking", "left", "unprintable"])
@pytest.mark.parametrize("verb", [("measure",), ("compare", "--methods", "did:d=10")], ids=["measure", "compare"])
def test_a_dry_run_refuses_a_broken_projection(cli: Cli, verb: tuple[str, ...], name: str) -> None:
    code, _, err = cli(*verb, "--task", "digits", "--model", "mlp", "--projection", name, "--dry-run")
    assert code == 2
    assert err.startswith(f"intrinsic: projection '{name}' of the package gruff ")
    with pytest.raises(SpecError, match=f"projection '{name}' of the package gruff"):
        make_projection(name, 3, 0)


@pytest.mark.parametrize("name", ["leaves", "slotless"])
def test_an_executor_that_exits_is_one_sentence(name: str) -> None:
    with pytest.raises(SpecError, match=rf"executor '{name}' cannot be made \(SystemExit: .*\): correct that, or use"):
        make_executor(name)


def test_an_executor_given_as_an_object_is_checked(tmp_path: Path) -> None:
    given: Any = 123
    with pytest.raises(SpecError, match=r"^the executor must have the methods start, .* but 123 lacks start: give one"):
        measure(PRESETS["vision"], tmp_path, executor=given)
    sound = make_executor("here")
    with pytest.raises(SpecError, match="given as an object has its own jobs and runner, got jobs=3: leave it out"):
        measure(PRESETS["vision"], tmp_path, executor=sound, jobs=3)
    with pytest.raises(SpecError, match="has its own jobs and runner, got a runner: leave it out"):
        measure(PRESETS["vision"], tmp_path, executor=sound, runner=given)


def test_a_method_that_exits_when_attached_is_named(cli: Cli) -> None:
    told = r"method 'leaves' of the package gruff cannot be attached \(SystemExit: bye\): repair or uninstall"
    with pytest.raises(SpecError, match=told):
        attach(loaded(), MethodSpec(name="leaves"), SeedSpec())
    code, _, err = cli("compare", "--task", "digits", "--model", "mlp", "--methods", "leaves")
    assert code == 2
    assert re.search(told, err)
    check_under_subspace("leaves")


def test_a_function_that_takes_other_arguments_is_named_with_the_call_expected() -> None:
    told = "of the package gruff must have a function to call as"
    with pytest.raises(
        SpecError, match=rf"method 'asks-little' {told} attach\(loaded, spec, options, seeds\), got one"
    ):
        attach(loaded(), MethodSpec(name="asks-little"), SeedSpec())
    with pytest.raises(SpecError, match=rf"task 'takes-none' {told} load\(info, spec\), got .* \(too many positional"):
        load_task(TaskSpec(name="takes-none"))
    asked: dict[str, Any] = {"num_labels": 2, "problem": "classification", "kind": "vision", "seed": 0}
    with pytest.raises(
        SpecError, match=rf"model 'takes-none' {told} load\(spec, \*, num_labels, .*, weights\), got one"
    ):
        load_model(ModelSpec(name="takes-none"), **asked)
    with pytest.raises(
        SpecError, match=r"model 'gives-seven' of the package gruff must load an intrinsic.models.loaded"
    ):
        load_model(ModelSpec(name="gives-seven"), **asked)
    with pytest.raises(SpecError, match=r"'gives-seven' of the package gruff must load an .*Loaded, got 7: repair"):
        load_task(TaskSpec(name="gives-seven"))


def test_a_function_that_tells_no_arguments_is_let_through() -> None:
    check_call("it", "f()", max, 1, 2)


def test_a_type_error_inside_a_function_is_not_mistaken_for_its_arguments() -> None:
    check_call("it", "f(x)", lambda x: x + "", 1)
