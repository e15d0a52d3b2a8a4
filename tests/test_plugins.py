"""Entries of other packages, sound and broken: a fake distribution on sys.path. tests/plugin is a real one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from toy import loaded

from intrinsic.errors import SpecError, UnknownName
from intrinsic.executor import EXECUTORS
from intrinsic.methods import METHODS, attach, check_fit, reload
from intrinsic.methods.catalogue import aliases
from intrinsic.models import MODELS
from intrinsic.plugins import Registry, entries_of
from intrinsic.problems import METRICS, PROBLEMS
from intrinsic.projections import PROJECTIONS, make_projection
from intrinsic.spec import MeasureSpec, MethodSpec, SeedSpec, TaskSpec
from intrinsic.subspace import Subspace
from intrinsic.tasks import TASKS, check_task

Cli = Callable[..., tuple[int, str, str]]
ENTRIES = """
[intrinsic.methods]
last-bias = strange_package:LAST_BIAS
broken = strange_package.absent:METHOD
raises = strange_package.raises:METHOD
wrong = strange_package:WRONG
lora = strange_package:LAST_BIAS
exits = strange_package.exits:METHOD
unprintable = strange_package:UNPRINTABLE
untellable = strange_package.untellable:METHOD
hollow = strange_package.broken:METHOD
odd-size = strange_package.broken:ODD_SIZE
no-size = strange_package.broken:NO_SIZE
odd-preset = strange_package.broken:ODD_PRESET
odd-alias = strange_package.broken:ODD_ALIAS
usurper = strange_package.broken:USURPER
no-options = strange_package.broken:NO_OPTIONS
homeless = strange_package.broken:HOMELESS

[intrinsic.projections]
one-hot = strange_package.projection:OneHot
exits = strange_package.exits:PROJECTION

[intrinsic.tasks]
poems = strange_package:POEMS
hollow = strange_package.broken:TASK
odd-problem = strange_package.broken:ODD_PROBLEM
odd-metric = strange_package.broken:ODD_METRIC
no-metric = strange_package.broken:NO_METRIC
misnamed = strange_package:POEMS
no-pixels = strange_package.broken:NO_PIXELS
exits = strange_package.exits:TASK
homeless = strange_package.broken:HOMELESS_TASK

[intrinsic.models]
hollow = strange_package.broken:MODEL
loadless = strange_package.broken:LOADLESS
odd-setting = strange_package.broken:ODD_SETTING
exits = strange_package.exits:MODEL
homeless = strange_package.broken:HOMELESS_MODEL

[intrinsic.metrics]
hollow = strange_package.broken:METRIC
no-range = strange_package.broken:NO_RANGE
exits = strange_package.exits:METRIC

[intrinsic.problems]
hollow = strange_package.broken:PROBLEM
kind = strange_package.broken:Nameless
misnamed = strange_package.broken:MISNAMED
exits = strange_package.exits:PROBLEM

[intrinsic.executors]
hollow = strange_package.broken:EXECUTOR
exits = strange_package.exits:EXECUTOR
homeless = strange_package.broken:HOMELESS_EXECUTOR
"""
PACKAGE = """
from intrinsic.methods import METHODS, Method, attach  # as a plugin may: this room is whole before a plugin is loaded
from intrinsic.spec import Frozen
from intrinsic.tasks import TaskInfo
from intrinsic.tasks.catalogue import Hub

class Options(Frozen):
    rows: int = 1

LAST_BIAS = Method("the last bias alone", "strange_package.last_bias", Options)
WRONG = "no method"

class Unprintable:
    def __repr__(self):
        raise ZeroDivisionError

UNPRINTABLE = Unprintable()
POEMS = TaskInfo("poems", "is it a poem", "hub", ("accuracy",), ("no", "yes"), hub=Hub("who/poems", None, ("text",)))
"""
BROKEN = """
from dataclasses import replace
from intrinsic.executor import ExecutorInfo
from intrinsic.methods import Method, Size
from intrinsic.models import ModelInfo
from intrinsic.problems import Metric, Problem
from intrinsic.problems.regression import Regression
from intrinsic.spec import Frozen
from intrinsic.tasks import TASKS, TaskInfo
from strange_package import LAST_BIAS, POEMS

class Unset(Frozen):
    rows: int | None = None

METHOD, TASK, MODEL, METRIC, EXECUTOR = map(object.__new__, (Method, TaskInfo, ModelInfo, Metric, ExecutorInfo))
ODD_SIZE = replace(LAST_BIAS, size=Size("row", "w"))
NO_SIZE = replace(LAST_BIAS, options=Unset, size=Size("rows", "w"))
ODD_PRESET = replace(LAST_BIAS, preset={"colour": "red"})
ODD_ALIAS = replace(LAST_BIAS, aliases={"red": {"colour": "red"}})
USURPER = replace(LAST_BIAS, aliases={"said": {"rows": 3}})
NO_OPTIONS = replace(LAST_BIAS, options=dict)
HOMELESS = replace(LAST_BIAS, home="strange_package.nowhere")
ODD_PROBLEM = replace(POEMS, name="odd-problem", problem="rhyming")
ODD_METRIC = replace(POEMS, name="odd-metric", metrics=("accuracy", "rhymes"))
NO_METRIC = replace(POEMS, name="no-metric", metrics=())
NO_PIXELS = replace(POEMS, name="no-pixels", kind="vision")
HOMELESS_TASK = replace(TASKS["digits"], name="homeless", loader="strange_package:nowhere")
LOADLESS = ModelInfo("text", "a model that nothing loads")
ODD_SETTING = ModelInfo("text", "a model with a setting of its own", "strange_package:load", ("colour",))
HOMELESS_MODEL = ModelInfo("vision", "a model whose loader is gone", "strange_package:nowhere", sized_by_images=True)
NO_RANGE = Metric(max, (1.0, 1.0))
HOMELESS_EXECUTOR = ExecutorInfo("an executor that is gone", "strange_package:nowhere")

class Nameless(Regression.__mro__[1]):
    targets = num_outputs = check_outputs = loss = decided = constants = lambda self, *given: None

PROBLEM = Nameless()

class Misnamed(Nameless):
    name, description, metrics, auto_classes = "another", "other things", ("mse",), {}

MISNAMED = Misnamed()
"""
UNTELLABLE = """
class Untellable(Exception):
    def __str__(self):
        raise ZeroDivisionError

raise Untellable
"""
LAST_BIAS = """
from intrinsic.methods.partial import Extension, PartialFineTuning
from intrinsic.methods.saved import Identity

def attach(loaded, spec, options, seeds):
    return PartialFineTuning(loaded, Identity(method=spec, seeds=seeds), lambda model: Extension((model.norm.bias,)))
"""
PROJECTION = """
import torch
from intrinsic.projections import Projection

class OneHot(Projection):
    '''Row i has its one at column i mod d.'''
    def _places(self, n):
        return torch.arange(n) % self.dim
    def _forward(self, theta, key, n):
        return theta[self._places(n)]
    def _adjoint(self, grad, key):
        return grad.new_zeros(self.dim).index_add_(0, self._places(len(grad)), grad)
"""


@pytest.fixture(scope="module", autouse=True)
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    site = tmp_path_factory.mktemp("site")
    files = {
        "strange-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n",
        "strange-1.0.dist-info/entry_points.txt": ENTRIES,
        "strange_package/__init__.py": PACKAGE,
        "strange_package/last_bias.py": LAST_BIAS,
        "strange_package/projection.py": PROJECTION,
        "strange_package/raises.py": "raise ZeroDivisionError('on import')",
        "strange_package/exits.py": "import sys\nsys.exit('not on this machine')",
        "strange_package/untellable.py": UNTELLABLE,
        "strange_package/broken.py": BROKEN,
    }
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        entries_of.cache_clear()
        yield site
    entries_of.cache_clear()


def test_a_method_of_another_package_is_trained_saved_and_reloaded(tmp_path: Path) -> None:
    spec = MethodSpec(name="last-bias", options={"rows": 2})
    made = attach(loaded(), spec, SeedSpec())
    assert [name for name, _ in made.named_parameters()] == ["norm.bias", "classifier.weight", "classifier.bias"]
    with torch.no_grad():
        next(made.parameters()).add_(1.0)
    made.save(tmp_path)
    again = reload(tmp_path, loaded())
    assert torch.equal(next(again.parameters()), next(made.parameters()))
    check_fit(loaded(), spec)


def test_its_options_are_checked_like_our_own() -> None:
    with pytest.raises(SpecError, match="method 'last-bias': rows: Input should be a valid integer"):
        attach(loaded(), MethodSpec(name="last-bias", options={"rows": "many"}), SeedSpec())


def test_a_subspace_lies_over_it() -> None:
    subspace = MethodSpec(
        name="subspace",
        of="last-bias",
        subspace_dim=3,
        projection="dense",
        structure_aware=False,
        lambdas="layer",
        head="frozen",
        parameters="all",
    )
    assert attach(loaded(), subspace, SeedSpec()).parameters_trained == 3


def test_a_projection_of_another_package_serves_a_subspace() -> None:
    assert MeasureSpec(projection="one-hot").projection == "one-hot"
    made = make_projection("one-hot", 3, 0)
    assert made.to_dense(1, 5).argmax(1).tolist() == [0, 1, 2, 0, 1]
    toy = loaded()
    subspace = Subspace(toy.model, 4, projection="one-hot", structure_aware=False)
    start = toy.model.norm.bias.clone()
    with torch.no_grad():
        subspace.theta.copy_(torch.arange(4.0))
    subspace.refresh()
    assert torch.equal(toy.model.norm.bias - start, torch.arange(8.0) % 4)


def test_a_task_of_another_package_is_a_row_of_the_catalogue() -> None:
    assert check_task(TaskSpec(name="poems")).label_names == ("no", "yes")


EXITS = r"cannot be loaded \(SystemExit: not on this machine\): repair or uninstall the package"
COMPLAINTS: dict[str, dict[str, str]] = {
    "method": {
        "broken": r"cannot be loaded \(ModuleNotFoundError: No module named 'strange_package.absent'\): repair or unin",
        "raises": r"cannot be loaded \(ZeroDivisionError: on import\): repair or uninstall",
        "wrong": "must be an intrinsic.methods.Method, got 'no method': repair or uninstall",
        "exits": EXITS,
        "unprintable": "must be an intrinsic.methods.Method, got an object of the type Unprintable, whose repr raises",
        "untellable": r"cannot be loaded \(Untellable\): repair or uninstall",
        "hollow": "lacks the field 'description': repair or uninstall",
        "odd-size": "names the option 'row', which its options do not have",
        "no-size": "has no size to begin with: give 'rows' a default",
        "odd-preset": "names the option 'colour', which its options do not have",
        "odd-alias": "names the option 'colour', which its options do not have",
        "usurper": "has the alias 'said', which is a name of this package's own",
        "no-options": "must have options that are a class of the kind intrinsic.spec.Frozen",
    },
    "task": {
        "hollow": "lacks the field 'name'",
        "odd-problem": "names the problem 'rhyming', which does not exist",
        "odd-metric": "names the metric 'rhymes', which does not exist",
        "no-metric": "names no metric",
        "misnamed": "calls itself 'poems': name and entry point must agree",
        "no-pixels": "has images and no `pixels`, by which they are normalised",
        "exits": EXITS,
    },
    "model": {
        "hollow": "lacks the field 'kind'",
        "loadless": r"says neither how it is loaded \(`load`\) nor where its folder is \(`folder`\)",
        "odd-setting": "takes the setting 'colour', which no model has",
        "exits": EXITS,
    },
    "metric": {
        "hollow": "lacks the field 'function'",
        "no-range": r"has the range \(1.0, 1.0\): expected the lowest and the highest score",
        "exits": EXITS,
    },
    "problem": {
        "hollow": "lacks the field 'name'",
        "kind": "must be an object of an intrinsic.problems.Problem, got <class",
        "misnamed": "calls itself 'another': name and entry point must agree",
        "exits": EXITS,
    },
    "executor": {"hollow": "lacks the field 'description'", "exits": EXITS},
}
"""What is said of each broken entry, by kind and name; of those called homeless it shows when they are used."""
REGISTRIES: dict[str, Registry[Any]] = {
    "method": METHODS,
    "task": TASKS,
    "model": MODELS,
    "metric": METRICS,
    "problem": PROBLEMS,
    "executor": EXECUTORS,
}


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, told in COMPLAINTS.items() for name in told])
def test_a_broken_entry_is_an_error_where_it_is_asked_for(kind: str, name: str) -> None:
    with pytest.raises(SpecError, match=f"^{kind} '{name}' of the package strange {COMPLAINTS[kind][name]}"):
        REGISTRIES[kind][name]


@pytest.mark.parametrize("kind", COMPLAINTS)
def test_ls_leaves_broken_entries_out_and_tells_of_each(cli: Cli, kind: str) -> None:
    code, out, err = cli("ls", f"{kind}s")
    assert code == 0
    assert not COMPLAINTS[kind].keys() & {line.split()[0] for line in out.splitlines()}
    lines = [line for line in err.splitlines() if "is ignored: it exists" not in line]
    assert len(lines) == len(COMPLAINTS[kind])
    for line, (name, told) in zip(lines, COMPLAINTS[kind].items(), strict=True):
        assert re.match(f"intrinsic: {kind} '{name}' of the package strange {told}", line)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("compare", "--methods", "exits"), f"method 'exits' of the package strange {EXITS}"),
        (("compare", "--methods", "odd-size:w=2"), "method 'odd-size' of the package strange names the option 'row'"),
        (("measure", "--of", "hollow"), "method 'hollow' of the package strange lacks the field 'description'"),
        (
            ("compare", "--task", "digits", "--model", "mlp", "--methods", "homeless", "--dry-run"),
            r"cannot load 'strange_package.nowhere:attach' \(ModuleNot",
        ),
        (("measure", "--task", "odd-problem"), "task 'odd-problem' of the package strange names the problem 'rhyming'"),
        (("measure", "--task", "odd-metric"), "task 'odd-metric' of the package strange names the metric 'rhymes'"),
        (("measure", "--task", "exits"), f"task 'exits' of the package strange {EXITS}"),
        (
            ("measure", "--task", "homeless", "--model", "mlp"),
            r"cannot load 'strange_package:nowhere' \(AttributeError: .*: repair or",
        ),
        (("certify", "--task", "hollow"), "task 'hollow' of the package strange lacks the field 'name'"),
        (("measure", "--model", "loadless"), "model 'loadless' of the package strange says neither how it is loaded"),
        (("measure", "--model", "exits"), f"model 'exits' of the package strange {EXITS}"),
        (("measure", "--task", "digits", "--model", "homeless"), "cannot load 'strange_package:nowhere'"),
        (
            ("measure", "--task", "digits", "--projection", "exits"),
            f"projection 'exits' of the package strange {EXITS}",
        ),
        (("measure", "--task", "digits", "--executor", "hollow"), "executor 'hollow' of the package strange lacks the"),
        (("measure", "--task", "digits", "--executor", "homeless"), "cannot load 'strange_package:nowhere'"),
    ],
)
def test_what_is_broken_is_one_sentence_where_it_is_asked_for(cli: Cli, args: tuple[str, ...], told: str) -> None:
    code, _, err = cli(*args, "--output-dir", "out")
    assert code == 2
    assert err.count("\n") == 1
    assert re.search(told, err)
    assert not Path("out/trials").exists()


def test_nothing_from_outside_replaces_our_own() -> None:
    assert METHODS["lora"].home == ".through_peft:lora"
    assert aliases()["said"] == ("subspace", {"structure_aware": True})
    assert list(METHODS).count("lora") == 1
    assert len(METHODS) == len(list(METHODS))


def test_they_are_among_the_names_that_an_error_lists() -> None:
    with pytest.raises(UnknownName, match="did you mean 'last-bias'"):
        attach(loaded(), MethodSpec(name="last-bais"), SeedSpec())
    with pytest.raises(ValidationError, match="did you mean 'one-hot'"):
        MeasureSpec(projection="one-hut")
    assert {"one-hot", "dense"} <= set(PROJECTIONS)
    assert {"poems", "sst2"} <= set(TASKS)


def test_ls_shows_what_is_sound(cli: Cli) -> None:
    code, out, err = cli("ls", "methods")
    assert code == 0
    assert "the last bias alone" in out
    assert "intrinsic: method 'lora' of the package strange is ignored: it exists\n" in err
    assert "one-hot" in cli("ls", "projections")[1]
    assert "of the package strange" in cli("ls", "projections")[1]
    assert "is it a poem" in cli("ls", "tasks")[1]


def test_compare_takes_them_by_name_whatever_else_is_broken(cli: Cli) -> None:
    code, out, err = cli("compare", "--task", "digits", "--model", "mlp", "--methods", "last-bias:rows=2", "--dry-run")
    assert (code, err) == (0, "")
    assert "last-bias:rows=2" in out
