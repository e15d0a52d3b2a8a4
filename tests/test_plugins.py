"""Methods, projections and tasks of other packages: a fake distribution on sys.path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from toy import loaded

from intrinsic.errors import SpecError, UnknownName
from intrinsic.methods import METHODS, attach, check_fit, reload
from intrinsic.plugins import entries_of
from intrinsic.projections import PROJECTIONS, make_projection
from intrinsic.spec import MeasureSpec, MethodSpec, SeedSpec, TaskSpec
from intrinsic.subspace import Subspace
from intrinsic.tasks import TASKS, check_task

ENTRIES = """
[intrinsic.methods]
last-bias = strange_package:LAST_BIAS
broken = strange_package.absent:METHOD
raises = strange_package.raises:METHOD
wrong = strange_package:WRONG
lora = strange_package:LAST_BIAS

[intrinsic.projections]
one-hot = strange_package.projection:OneHot

[intrinsic.tasks]
poems = strange_package:POEMS
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
POEMS = TaskInfo("poems", "is it a poem", "hub", ("accuracy",), ("no", "yes"), hub=Hub("who/poems", None, ("text",)))
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


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("broken", r"package strange cannot be loaded \(ModuleNotFoundError: No module named 'strange_package.absent'"),
        ("raises", r"package strange cannot be loaded \(ZeroDivisionError: on import\): repair or uninstall"),
        ("wrong", "package strange must be an intrinsic.methods.Method, got 'no method': repair or uninstall"),
    ],
)
def test_a_broken_method_is_an_error_where_it_is_asked_for(name: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        attach(loaded(), MethodSpec(name=name), SeedSpec())


def test_nothing_from_outside_replaces_our_own() -> None:
    assert METHODS["lora"].home == ".through_peft:lora"
    assert list(METHODS).count("lora") == 1
    assert len(METHODS) == len(list(METHODS))


def test_they_are_among_the_names_that_an_error_lists() -> None:
    with pytest.raises(UnknownName, match="did you mean 'last-bias'"):
        attach(loaded(), MethodSpec(name="last-bais"), SeedSpec())
    with pytest.raises(ValidationError, match="did you mean 'one-hot'"):
        MeasureSpec(projection="one-hut")
    assert {"one-hot", "dense"} <= set(PROJECTIONS)
    assert {"poems", "sst2"} <= set(TASKS)


def test_ls_shows_them_and_tells_of_what_is_broken(cli) -> None:  # type: ignore[no-untyped-def]
    code, out, err = cli("ls", "methods")
    assert code == 0
    assert "the last bias alone" in out
    assert "broken" not in out
    assert [line.split(" cannot")[0].split(" must")[0].split(" is ")[0] for line in err.splitlines()] == [
        f"intrinsic: method '{name}' of the package strange" for name in ("broken", "raises", "wrong", "lora")
    ]
    assert "one-hot" in cli("ls", "projections")[1]
    assert "of the package strange" in cli("ls", "projections")[1]
    assert "is it a poem" in cli("ls", "tasks")[1]


def test_compare_takes_them_by_name(cli) -> None:  # type: ignore[no-untyped-def]
    code, out, err = cli("compare", "--methods", "last-bias:rows=2", "--dry-run")
    assert (code, err) == (0, "")
    assert "last-bias:rows=2" in out
