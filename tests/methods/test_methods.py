"""Tests of what every way to fine-tune keeps, on BERT.

tests/methods/test_methods_contract.py goes over all METHODS and architectures.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_model
from torch import nn
from toy import SPECS, WIDTH, Net, ToyTask, loaded, one_thread, subspace, with_model

from intrinsic.errors import ArtefactError, SpecError, UnknownName
from intrinsic.methods import METHODS, attach, check_fit
from intrinsic.methods.base import Trainable, folder_bytes
from intrinsic.spec import MethodSpec, OptimSpec, SeedSpec, TrialSpec
from intrinsic.subspace import Subspace
from intrinsic.subspace.layout import is_under
from intrinsic.training import fit

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["one_thread"]


OPTIM = OptimSpec(learning_rate=3e-2, steps=5, batch_size=16)
BATCH = {"input_ids": torch.arange(12).reshape(3, 4), "attention_mask": torch.ones(3, 4, dtype=torch.long)}
HEAD = 2 * WIDTH + 2


def make(kind: str, seed: int = 0, **settings: object) -> Trainable:
    return attach(loaded(seed, **settings), SPECS[kind], SeedSpec(projection=4))


def train(trainable: Trainable, steps: int = 5) -> Trainable:
    task = ToyTask()
    fit(trainable, task.prepare(None), task, OPTIM.model_copy(update={"steps": steps}), 0)
    return trainable


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(**BATCH).logits


@pytest.mark.parametrize("kind", SPECS)
class TestContract:
    def test_before_training_the_model_computes_what_it_did(self, kind: str) -> None:
        assert torch.equal(logits(make(kind).model), logits(loaded().model))

    def test_what_is_trained_is_registered_in_the_model_and_moves(self, kind: str) -> None:
        trainable = make(kind)
        mine = {name: p.detach().clone() for name, p in trainable.named_parameters()}
        assert mine.keys() <= dict(trainable.model.named_parameters()).keys()
        assert {id(p) for p in trainable.parameters()} == {
            id(p) for p in trainable.model.parameters() if p.requires_grad
        }
        train(trainable)
        after = dict(trainable.named_parameters())
        assert all(not torch.equal(before, after[name]) for name, before in mine.items())

    def test_state_goes_out_and_in_again(self, kind: str) -> None:
        trained = train(make(kind))
        state = {name: tensor.detach().clone() for name, tensor in trained.state_dict().items()}
        expected = logits(trained.model)
        train(trained, 3)
        assert not torch.equal(logits(trained.model), expected)
        trained.load_state_dict(state)
        assert torch.equal(logits(trained.model), expected)
        other = make(kind)
        other.load_state_dict(state)
        assert torch.equal(logits(other.model), expected)
        assert torch.equal(other.model.calls, torch.tensor(5))

    def test_what_was_saved_after_training_is_loaded(self, kind: str, tmp_path: Path) -> None:
        trained = train(make(kind))
        trained.save(tmp_path)
        again = make(kind)
        again.load(tmp_path)
        assert torch.equal(logits(again.model), logits(trained.model))
        assert torch.equal(again.model.calls, torch.tensor(5))
        assert again.parameters_trained == trained.parameters_trained
        (tmp_path / sorted(path.name for path in tmp_path.iterdir())[-1]).write_bytes(b"{}")
        with pytest.raises(ArtefactError):
            make(kind).load(tmp_path)

    def test_merge_leaves_a_plain_model_that_computes_the_same(self, kind: str) -> None:
        trained = train(make(kind))
        expected = logits(trained.model)
        merged = trained.merge()
        assert torch.equal(logits(merged), expected)
        plain = Net()
        plain.load_state_dict(merged.state_dict())
        assert torch.equal(logits(plain), expected)

    def test_the_counts_are_what_they_say(self, kind: str, tmp_path: Path) -> None:
        trained = train(make(kind))
        assert trained.parameters_trained == sum(p.numel() for p in trained.parameters())
        trained.save(tmp_path / "deep" / "folder")
        assert trained.artefact_bytes == folder_bytes(tmp_path / "deep" / "folder") > 0
        assert 0 <= trained.head_parameters <= trained.parameters_trained

    def test_the_data_seed_changes_no_more_than_the_training(self, kind: str) -> None:
        a, b = make(kind), make(kind)
        assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
        assert torch.equal(logits(train(a).model), logits(train(b).model))


def test_counts() -> None:
    everything = sum(p.numel() for p in Net().parameters())
    embeddings = Net().embeddings.weight.numel()
    counts = {
        kind: (t.full_dim, t.parameters_trained, t.parameters_stored, t.head_parameters)
        for kind, t in ((kind, make(kind)) for kind in SPECS)
    }
    assert counts == {
        "full": (everything, everything, everything, HEAD),
        "said": (everything, 20, 20, 0),
        "did": (everything, 20, 20, 0),
        "free head": (everything - HEAD, 20 + HEAD, 20 + HEAD, HEAD),
        "frozen head, no embeddings": (everything - HEAD - embeddings, 20, 20, 0),
        "probe": (everything, HEAD, HEAD, HEAD),
        "bitfit": (everything, HEAD + 2 * WIDTH, HEAD + 2 * WIDTH, HEAD),
        "of bitfit": (HEAD + 2 * WIDTH, 10, 10, 0),
    }


def test_the_embeddings_stay_when_they_are_left_out() -> None:
    trained = train(make("frozen head, no embeddings"))
    plain, start = trained.merge(), loaded().model
    assert torch.equal(plain.embeddings.weight, start.embeddings.weight)
    assert torch.equal(plain.classifier.weight, start.classifier.weight)
    assert not torch.equal(plain.hidden.weight, start.hidden.weight)


def test_projection_and_head_seeds_act_on_their_own() -> None:
    def end(initialisation: int, projection: int) -> tuple[torch.Tensor, torch.Tensor]:
        made = attach(loaded(initialisation), SPECS["did"], SeedSpec(projection=projection))
        start = logits(made.model)
        with torch.no_grad():
            next(iter(made.parameters())).fill_(0.1)
        step = made.merge().hidden.weight - loaded(initialisation).model.hidden.weight
        return start, step

    start, step = end(0, 0)
    assert torch.equal(end(0, 1)[0], start)
    assert not torch.allclose(end(0, 1)[1], step, atol=1e-3)
    assert not torch.equal(end(1, 0)[0], start)
    torch.testing.assert_close(end(1, 0)[1], step, rtol=0, atol=1e-6)


def test_a_saved_subspace_comes_back_on_a_fresh_model(tmp_path: Path) -> None:
    trained = train(make("free head"))
    trained.save(tmp_path)
    fresh = loaded().model
    Subspace.from_pretrained(tmp_path, fresh)
    assert torch.equal(logits(fresh), logits(trained.model))


class Tied(Net):
    """An output layer tied to the embeddings, half-precision and integer tensors, names that need escaping."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(WIDTH, 20, bias=False)
        self.out.weight = self.embeddings.weight
        self.register_buffer("brain", torch.ones(3, 2, dtype=torch.bfloat16))
        self.register_buffer("flag", torch.ones(5, dtype=torch.bool))
        self.register_buffer("straße", torch.ones(1, dtype=torch.float64))
        self.register_buffer('quo"te', torch.ones(7, dtype=torch.uint8))


def test_the_size_of_a_full_artefact_is_that_of_the_file_and_it_reads_back(tmp_path: Path) -> None:
    trained = train(attach(with_model(Tied()), MethodSpec(), SeedSpec()), 1)
    trained.save(tmp_path)
    assert trained.artefact_bytes == folder_bytes(tmp_path)
    again = Tied()
    load_model(again, tmp_path / "model.safetensors")
    assert torch.equal(logits(again), logits(trained.model))
    assert again.out.weight is again.embeddings.weight


def test_what_came_frozen_stays_frozen() -> None:
    start = loaded()
    start.model.embeddings.weight.requires_grad_(False)
    before = start.model.embeddings.weight.clone()
    trainable = train(attach(start, MethodSpec(), SeedSpec()))
    assert torch.equal(start.model.embeddings.weight, before)
    assert trainable.full_dim == sum(p.numel() for p in Net().parameters()) - before.numel()


def test_nothing_to_train_is_refused() -> None:
    start = loaded()
    start.model.requires_grad_(False)
    with pytest.raises(SpecError, match="method 'full' finds no parameter to train"):
        attach(start, MethodSpec(), SeedSpec())


def test_an_unknown_method_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownName, match=r"unknown method 'fulll'; available: .*subspace.*; did you mean 'full'"):
        attach(loaded(), MethodSpec(name="fulll"), SeedSpec())


def test_a_subspace_is_loaded_only_into_one_of_its_settings(tmp_path: Path) -> None:
    train(make("did")).save(tmp_path)
    other = make("said")
    with pytest.raises(ArtefactError, match=r"holds a subspace with .*structure_aware=False.* expected .*=True"):
        other.load(tmp_path)
    train(other)


@pytest.mark.parametrize("of", ["full", "subspace"])
def test_a_subspace_of_what_has_no_parameters_of_its_own_is_refused(of: str) -> None:
    with pytest.raises(SpecError, match=f"a subspace cannot lie over method '{of}'"):
        attach(loaded(), subspace(of=of), SeedSpec())


def test_adalora_has_no_subspace() -> None:
    with pytest.raises(SpecError, match="moves its ranks in training"):
        attach(loaded(), subspace(of="adalora"), SeedSpec())


def test_options_are_checked() -> None:
    for call in (lambda s: attach(loaded(), s, SeedSpec()), lambda s: check_fit(loaded(), s)):
        with pytest.raises(
            SpecError, match="method 'bitfit': biases: Input should be 'all' or 'query-ffn', got 'some'"
        ):
            call(MethodSpec(name="bitfit", options={"biases": "some"}))
        with pytest.raises(SpecError, match="method 'probe': rank: Extra inputs are not permitted"):
            call(MethodSpec(name="probe", options={"rank": 2}))


def test_no_bias_and_no_head_to_train_are_refused() -> None:
    with pytest.raises(SpecError, match=r"looks for parameters called 'bias' outside the head .* none in Sequential"):
        attach(with_model(nn.Sequential(nn.Linear(2, 2, bias=False))), SPECS["bitfit"], SeedSpec())
    with pytest.raises(SpecError, match="method 'probe' finds no parameter to train"):
        attach(with_model(nn.Linear(2, 2)), SPECS["probe"], SeedSpec())


class TestSpec:
    def test_what_says_nothing_of_options_keeps_the_id_it_had(self) -> None:
        assert TrialSpec().id == "9eca4d1d67582e5c"
        assert TrialSpec(method=SPECS["did"]).model_dump()["method"].keys() == MethodSpec().model_dump().keys()

    def test_options_are_part_of_the_id_in_any_order(self) -> None:
        one = MethodSpec(name="lora", options={"rank": 4, "matrices": ["q", "v"]})
        two = MethodSpec(name="lora", options={"matrices": ("q", "v"), "rank": 4})
        assert TrialSpec(method=one).id == TrialSpec(method=two).id != TrialSpec(method=MethodSpec(name="lora")).id
        assert MethodSpec.model_validate_json(one.model_dump_json()) == one
        assert hash(one) == hash(two)

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"name": "full", "options": {"rank": 4}}, "takes no setting, got rank"),
            ({"name": "lora", "of": "bitfit"}, "`of` goes with method 'subspace' and only with it, got method 'lora'"),
            ({**SPECS["did"].model_dump(), "options": {"rank": 4}}, "say which by `of`"),
        ],
    )
    def test_what_does_not_go_together_is_refused(self, settings: dict[str, object], told: str) -> None:
        with pytest.raises(ValidationError, match=told):
            MethodSpec.model_validate(settings)


def test_prefixes_end_at_dots() -> None:
    assert is_under("classifier.weight", ["classifier"])
    assert is_under("classifier.weight", ["classifier."])
    assert is_under("cls_token", ["cls_token"])
    assert not is_under("classifier2.weight", ["classifier"])
    assert not is_under("classifier.weight", [])


def test_the_names_are_listed_without_torch() -> None:
    code = "import sys; from intrinsic.methods import METHODS; print(*METHODS); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(METHODS)
