"""The spec of a method: the subspace's settings beside its name, and on no other method."""

from __future__ import annotations

import json
import pickle

import pytest
from pydantic import ValidationError

from intrinsic.comparison.contenders import parse_contenders
from intrinsic.errors import SpecError
from intrinsic.spec import MeasureSpec, MethodSpec, SubspaceSettings, TrialSpec

SAID = {"name": "subspace", "subspace_dim": 100, "projection": "dense"}


def test_settings_may_stand_beside_the_name_or_together() -> None:
    flat = MethodSpec.model_validate(SAID)
    together = MethodSpec(name="subspace", subspace=SubspaceSettings(subspace_dim=100, projection="dense"))
    assert flat == together
    assert flat.subspace is not None
    assert (flat.subspace_dim, flat.subspace.projection, flat.subspace.lambdas) == (100, "dense", "layer")
    assert TrialSpec(method=flat).id == TrialSpec(method=together).id


def test_records_have_the_settings_beside_the_name() -> None:
    written = json.loads(MethodSpec.model_validate(SAID).model_dump_json())
    assert written == {
        "name": "subspace",
        "projection": "dense",
        "structure_aware": True,
        "lambdas": "layer",
        "head": "in-subspace",
        "parameters": "all",
        "subspace_dim": 100,
    }
    assert set(MethodSpec(name="lora").model_dump().values()) == {"lora", None}
    for spec in (MethodSpec.model_validate(SAID), MethodSpec(name="lora", options=(("rank", 4),)), MethodSpec()):
        assert MethodSpec.model_validate_json(spec.model_dump_json()) == spec
        assert pickle.loads(pickle.dumps(spec)) == spec


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"name": "bitfit", "subspace_dim": 5}, "subspace_dim: only method 'subspace' takes this, got method 'bitfit'"),
        ({"name": "lora", "projection": "dense"}, "projection: only method 'subspace' takes this, got method 'lora'"),
        ({"name": "full", "projection": "dense"}, "'full' trains everything and takes no setting, got projection"),
        ({"projection": "dense"}, "'full' trains everything and takes no setting, got projection"),
        ({"name": "full", "of": "lora"}, "'full' trains everything and takes no setting, got of"),
        ({"name": "subspace", "projection": "dense"}, "'subspace' needs subspace_dim, the dimension d"),
        ({"name": "subspace"}, "'subspace' needs subspace_dim, the dimension d"),
        ({"name": "lora", "of": "lora"}, "`of` goes with method 'subspace'"),
        ({"name": "lora", "subspace": {"subspace_dim": 5}}, "`subspace` goes with method 'subspace'"),
        ({**SAID, "options": {"rank": 2}}, "say which by `of`"),
    ],
)
def test_settings_of_another_method(given: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError) as raised:
        MethodSpec.model_validate(given)
    assert told in str(raised.value)


def test_another_size_of_the_same_method() -> None:
    spec = MethodSpec.model_validate(SAID)
    assert spec.with_size("subspace_dim", 7) == MethodSpec.model_validate({**SAID, "subspace_dim": 7})
    lora = MethodSpec(name="lora", options=(("alpha", 2.0), ("rank", 4)))
    assert dict(lora.with_size("rank", 8).options) == {"alpha": 2.0, "rank": 8}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("said:projection=dense", "unknown option 'projection'; available: d, lr, of, params, subspace_dim"),
        ("lora:foo=3", "unknown option 'foo'; available: alpha, dropout, lr, matrices, params, r, rank"),
        ("did:d=", "whole numbers from 1 to 2147483647, got nothing"),
        ("did:of=nope", "unknown method 'nope'"),
        ("did:of=full", "a subspace cannot lie over method 'full'"),
    ],
)
def test_what_may_be_written_after_a_name(text: str, told: str) -> None:
    with pytest.raises(SpecError) as raised:
        parse_contenders(text, MeasureSpec())
    assert told in str(raised.value)
