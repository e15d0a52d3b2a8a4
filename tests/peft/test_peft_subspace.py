"""SubspaceConfig as a method of peft: the same subspace, trained, saved, switched off and taken off by peft."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from method_models import batch_of, fresh, logits
from peft import AutoPeftModel, AutoPeftModelForSequenceClassification, PeftConfig, PeftModel, get_peft_model
from peft_models import D, config, theta_of, trained, wrapped
from safetensors.torch import load_file, save_file
from torch import nn
from toy import Net

from intrinsic.errors import ArtefactError
from intrinsic.models.quiet import quiet
from intrinsic.peft import SubspaceConfig
from intrinsic.subspace import Subspace

pytestmark = pytest.mark.filterwarnings(  # of transformers, at what peft asks of it
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:`gradient_checkpointing:FutureWarning",
)
HEADED = ["bert", "roberta", "distilbert", "electra", "gpt2", "llama", "vit"]
"""Those whose head peft knows by its name; the pooler of DeBERTa-v2 and the head of T5 have others."""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The pretrained model in a folder, as on the Hub."""
    with quiet():
        fresh("bert").model.save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def from_folder(base: Path) -> nn.Module:
    from transformers import AutoModelForSequenceClassification

    with quiet():
        model: nn.Module = AutoModelForSequenceClassification.from_pretrained(base)
    return model


# ---------------------------------------------------------------------- what is trained


@pytest.mark.parametrize("name", HEADED)
def test_attaching_changes_no_logit_and_trains_d_numbers_and_the_head(name: str) -> None:
    plain, model = fresh(name), wrapped(name)
    assert torch.equal(logits(model, batch_of(name)), logits(plain.model, batch_of(name)))
    head = sum(p.numel() for n, p in plain.model.named_parameters() if n.split(".")[0] in plain.head_names)
    assert model.get_nb_trainable_parameters()[0] == D + head
    trained(model, name)
    assert theta_of(model).abs().min() > 0


@pytest.mark.parametrize("structure", [True, False])
def test_it_is_the_same_subspace(structure: bool) -> None:
    """The weights at a given theta are those of Subspace, attached to the same model by hand."""
    model, plain = wrapped(seed=5, structure_aware=structure), fresh("bert").model
    own = Subspace(plain, D, structure_aware=structure, seed=5, head="frozen", head_names=("classifier",))
    value = torch.linspace(-0.5, 0.5, len(own.theta))
    for theta in (theta_of(model), own.theta):
        theta.data.copy_(value)
    got = logits(model, batch_of("bert"))
    assert torch.equal(got, logits(plain, batch_of("bert")))
    assert not torch.allclose(got, logits(fresh("bert").model, batch_of("bert")), atol=1e-3)


def test_all_settings_reach_the_subspace() -> None:
    model = wrapped(
        projection="sparse", projection_options={"density": 0.25}, lambdas="tensor", parameters=["*.bias"], seed=3
    )
    found = model.base_model.subspace
    assert found.tensor_names
    assert all(name.endswith(".bias") and "classifier" not in name for name in found.tensor_names)
    assert found.settings.model_dump() == {
        **{"subspace_dim": D, "projection": "sparse", "options": {"density": 0.25}, "seed": 3},
        **{"structure_aware": True, "lambdas": "tensor", "head": "frozen"},
    }


def test_without_a_task_type_the_head_lies_in_the_subspace() -> None:
    model = wrapped(task_type=None)
    assert model.get_nb_trainable_parameters()[0] == D
    assert "classifier.weight" in model.base_model.subspace.tensor_names


def test_a_net_of_no_library_can_be_wrapped() -> None:
    torch.manual_seed(0)
    net = Net()
    batch = {"input_ids": torch.tensor([[1, 2, 3]]), "attention_mask": torch.ones(1, 3)}
    model = get_peft_model(net, SubspaceConfig(subspace_dim=30))
    with torch.no_grad():
        theta_of(model).add_(0.1)
    with torch.no_grad():
        expected = model(**batch).logits
        assert torch.equal(model.merge_and_unload()(**batch).logits, expected)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradient_checkpointing_gives_the_same_gradient(reentrant: bool) -> None:
    grads = []
    for checkpointed in (False, True):
        model = wrapped().train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        if checkpointed:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
            model.enable_input_require_grads()
        model(**batch_of("bert"), labels=torch.tensor([0, 1, 2])).loss.backward()
        grads.append(theta_of(model).grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- saving and loading


def test_what_was_trained_comes_back(base: Path, tmp_path: Path) -> None:
    model = trained(get_peft_model(from_folder(base), config()))
    expected = logits(model, batch_of("bert"))
    model.save_pretrained(tmp_path / "saved")
    stored = load_file(tmp_path / "saved" / "adapter_model.safetensors")
    assert {name.removeprefix("base_model.model.") for name in stored} == {
        *("intrinsic_subspace.theta", "intrinsic_subspace.lambdas", "classifier.weight", "classifier.bias"),
    }
    again = PeftModel.from_pretrained(from_folder(base), tmp_path / "saved")
    assert torch.equal(logits(again, batch_of("bert")), expected)
    assert not any(p.requires_grad for p in again.parameters())
    with quiet():
        auto = AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "saved", is_trainable=True)
    assert torch.equal(logits(auto, batch_of("bert")), expected)
    assert theta_of(auto).requires_grad
    assert not torch.equal(logits(trained(auto), batch_of("bert")), expected)


def test_without_a_task_type_auto_classes_find_the_model_by_its_name(base: Path, tmp_path: Path) -> None:
    model = trained(get_peft_model(from_folder(base), config(task_type=None)))
    model.save_pretrained(tmp_path / "saved")
    with quiet():
        again = AutoPeftModel.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits(again, batch_of("bert")), logits(model, batch_of("bert")))


FRESH = """
import sys, torch
import intrinsic.peft
from peft import AutoPeftModelForSequenceClassification
model = AutoPeftModelForSequenceClassification.from_pretrained(sys.argv[1])
batch, expected = torch.load(sys.argv[2])
with torch.no_grad():
    assert torch.equal(model.eval()(**batch).logits, expected)
"""


def test_a_process_that_only_imports_the_module_loads_the_folder(base: Path, tmp_path: Path) -> None:
    model = trained(get_peft_model(from_folder(base), config()))
    model.save_pretrained(tmp_path / "saved")
    torch.save((batch_of("bert"), logits(model, batch_of("bert"))), tmp_path / "expected.pt")
    run = [str(tmp_path / "saved"), str(tmp_path / "expected.pt")]
    done = subprocess.run([sys.executable, "-c", FRESH, *run], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    unknown = subprocess.run(
        [sys.executable, "-c", FRESH.replace("import intrinsic.peft", ""), *run], capture_output=True, text=True
    )
    assert "KeyError: 'SUBSPACE'" in unknown.stderr  # why the docstring asks for the import


def test_other_base_weights_are_refused_and_named(tmp_path: Path) -> None:
    model = wrapped()
    model.save_pretrained(tmp_path)
    other = fresh("bert").model
    with torch.no_grad():
        other.bert.pooler.dense.bias[0] += 1
        other.classifier.bias += 1  # saved whole, so this one does not matter
    with pytest.raises(ArtefactError, match=r"1 of 39 tensors differ, 'bert\.pooler\.dense\.bias'; load the same"):
        PeftModel.from_pretrained(other, tmp_path)


@pytest.mark.parametrize(("name", "module"), [("deberta-v2", "pooler"), ("t5", "classification_head")])
def test_a_head_that_peft_does_not_know_is_named(name: str, module: str, tmp_path: Path) -> None:
    """Else it lies in the subspace, around first values that the next process would draw otherwise."""
    models = fresh(name).model, fresh(name).model
    with torch.no_grad():
        for p in models[1].get_submodule(module).parameters():
            p.add_(0.5)
    model = trained(get_peft_model(models[0], config()), name)
    model.save_pretrained(tmp_path / "unnamed")
    with pytest.raises(ArtefactError, match="or name a head that is drawn anew in modules_to_save"):
        PeftModel.from_pretrained(models[1], tmp_path / "unnamed")
    model = trained(get_peft_model(fresh(name).model, config(modules_to_save=[module])), name)
    model.save_pretrained(tmp_path / "named")
    again = PeftModel.from_pretrained(models[1], tmp_path / "named")
    assert torch.equal(logits(again, batch_of(name)), logits(model, batch_of(name)))


def test_a_base_in_half_precision_is_taken_when_nothing_is_to_be_compared(tmp_path: Path) -> None:
    model = trained(wrapped())
    model.save_pretrained(tmp_path)
    expected = logits(model, batch_of("bert"))
    with pytest.raises(ArtefactError, match="with the same precision"):
        PeftModel.from_pretrained(fresh("bert").model.bfloat16(), tmp_path)
    loose = PeftConfig.from_pretrained(tmp_path)
    loose.base = None
    again = PeftModel.from_pretrained(fresh("bert").model.bfloat16(), tmp_path, config=loose)
    assert theta_of(again).dtype == torch.float32
    assert torch.equal(theta_of(again), theta_of(model))
    torch.testing.assert_close(logits(again, batch_of("bert")).float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("base_model.model.intrinsic_subspace.theta"), "lacks the tensor '.*theta'"),
        (lambda t: t.update({"base_model.model.intrinsic_subspace.theta": torch.zeros(3)}), r"has shape \(3,\)"),
        (lambda t: t["base_model.model.intrinsic_subspace.lambdas"].fill_(float("nan")), "not finite"),
    ],
)
def test_damaged_weights_are_refused(change: Any, told: str, tmp_path: Path) -> None:
    """peft itself would go on with what it found."""
    wrapped().save_pretrained(tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    with pytest.raises(ArtefactError, match=told):
        PeftModel.from_pretrained(fresh("bert").model, tmp_path)


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("format", 2, "saved in format 2, expected 1: read it with the version of intrinsic that wrote it"),
        ("base", {"sha256": "x", "short": ""}, "base in adapter_config.json is no fingerprint"),
    ],
)
def test_damaged_configurations_are_refused(entry: str, value: object, told: str, tmp_path: Path) -> None:
    wrapped().save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), entry: value}))
    with pytest.raises(ArtefactError, match=told):
        PeftModel.from_pretrained(fresh("bert").model, tmp_path)


def test_a_configuration_may_be_used_for_another_model() -> None:
    shared = config()
    get_peft_model(fresh("bert").model, shared)
    assert shared.base is None
    get_peft_model(fresh("roberta").model, shared)


# ---------------------------------------------------------------------- switching off, taking off


def test_disabled_it_is_the_base_model_and_enabled_again_it_is_itself() -> None:
    model, batch = trained(wrapped()), batch_of("bert")
    before, expected = logits(fresh("bert").model, batch), logits(model, batch)
    with model.disable_adapter():
        assert torch.equal(logits(model, batch), before)
        assert not any(p.requires_grad for p in model.parameters())
        with model.disable_adapter():
            assert torch.equal(logits(model, batch), before)
        assert torch.equal(logits(model, batch), before)
    assert torch.equal(logits(model, batch), expected)
    assert theta_of(model).requires_grad
    with pytest.raises(ZeroDivisionError), model.disable_adapter():
        raise ZeroDivisionError
    assert torch.equal(logits(model, batch), expected)
    assert model.get_model_status().enabled is True


def test_a_gradient_may_cross_a_pass_through_the_base_model() -> None:
    """As in preference optimisation: the reference's logits come between the forward and the backward pass."""
    grads = []
    for reference in (False, True):
        model = trained(wrapped())
        loss = model(**batch_of("bert"), labels=torch.tensor([0, 1, 2])).loss
        if reference:
            with model.disable_adapter():
                logits(model, batch_of("bert"))
        loss.backward()
        grads.append(theta_of(model).grad)
    assert torch.equal(grads[0], grads[1])


def test_saved_while_disabled_it_is_saved_as_trained(tmp_path: Path) -> None:
    model = trained(wrapped())
    with model.disable_adapter():
        model.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(fresh("bert").model, tmp_path)
    assert torch.equal(logits(again, batch_of("bert")), logits(model, batch_of("bert")))


@pytest.mark.parametrize("name", ["bert", "gpt2", "vit"])
def test_merging_leaves_the_plain_model_with_the_same_logits(name: str) -> None:
    model = trained(wrapped(name), name)
    expected = logits(model, batch_of(name))
    merged = model.merge_and_unload(safe_merge=True)
    assert type(merged) is type(fresh(name).model)
    assert [n for n, _ in merged.named_parameters()] == [n for n, _ in fresh(name).model.named_parameters()]
    assert torch.equal(logits(merged, batch_of(name)), expected)
    get_peft_model(merged, config())  # peft would warn if anything of it were left


def test_unloading_leaves_the_model_as_it_was() -> None:
    model = trained(wrapped(task_type=None))  # of modules to save, peft leaves the trained copy
    plain = model.unload()
    for (name, p), (_, q) in zip(plain.named_parameters(), fresh("bert").model.named_parameters(), strict=True):
        assert torch.equal(p, q), name


def test_safe_merging_refuses_numbers_that_are_not_finite() -> None:
    model = wrapped()
    with torch.no_grad():
        theta_of(model)[0] = float("inf")
    with pytest.raises(ValueError, match="hold numbers that are not finite"):
        model.merge_and_unload(safe_merge=True)


def test_a_copy_is_a_model_of_its_own() -> None:
    model, batch = trained(wrapped()), batch_of("bert")
    expected = logits(model, batch)
    twin = copy.deepcopy(model)
    assert torch.equal(logits(twin, batch), expected)
    with torch.no_grad():
        theta_of(twin).add_(1.0)
    assert not torch.allclose(logits(twin, batch), expected)
    assert torch.equal(logits(model, batch), expected)
