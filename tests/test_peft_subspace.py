"""SubspaceConfig as a method of peft: the same subspace, under peft's own handling."""

from __future__ import annotations

import copy
import inspect
import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from method_models import LABELS, batch_of, fresh, logits
from peft import AutoPeftModel, AutoPeftModelForSequenceClassification, PeftConfig, PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from toy import Net

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.models.quiet import quiet
from intrinsic.peft import SubspaceConfig
from intrinsic.subspace import Subspace

pytestmark = pytest.mark.filterwarnings(  # of transformers, at what peft asks of it
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:`gradient_checkpointing:FutureWarning",
)
D = 40
HEADED = ["bert", "roberta", "distilbert", "electra", "gpt2", "llama", "vit"]
"""Those whose head peft knows by its name; the pooler of DeBERTa-v2 and the head of T5 have others."""


def config(**settings: Any) -> SubspaceConfig:
    return SubspaceConfig(**{"subspace_dim": D, "task_type": "SEQ_CLS"} | settings)


def wrapped(name: str = "bert", **settings: Any) -> Any:
    return get_peft_model(fresh(name).model, config(**settings))


def trained(model: Any, name: str = "bert", steps: int = 2) -> Any:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        answer = model(**batch_of(name)).logits
        nn.functional.cross_entropy(answer, torch.arange(len(answer)) % LABELS).backward()
        optimizer.step()
        optimizer.zero_grad()
    return model


def theta_of(model: Any) -> Tensor:
    found: Tensor = model.base_model.subspace.theta
    return found


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


# ---------------------------------------------------------------------- language models


def test_a_language_model_generates_with_the_subspaces_weights() -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    ends = {"bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0}
    plain = GPT2LMHeadModel(GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=20, **ends)).eval()
    model = get_peft_model(copy.deepcopy(plain), SubspaceConfig(subspace_dim=D, task_type="CAUSAL_LM"))
    assert "lm_head.weight" in model.base_model.subspace.tensor_names  # and the embeddings, which are tied to it
    with torch.no_grad():
        theta_of(model).copy_(torch.linspace(-3, 3, len(theta_of(model))))
    ids, settings = torch.tensor([[5, 6, 7]]), {"max_new_tokens": 8, "do_sample": False}
    mask = torch.ones_like(ids)
    before = plain.generate(input_ids=ids, attention_mask=mask, **settings)
    moved = model.generate(input_ids=ids, attention_mask=mask, **settings)
    assert not torch.equal(moved, before)
    with model.disable_adapter():
        assert torch.equal(model.generate(input_ids=ids, attention_mask=mask, **settings), before)
    merged = model.merge_and_unload()
    assert torch.equal(merged.generate(input_ids=ids, attention_mask=mask, **settings), moved)
    assert merged.lm_head.weight is merged.transformer.wte.weight


# ---------------------------------------------------------------------- the Trainer


def by_trainer(folder: Path, steps: int, resume: str | None = None, **settings: Any) -> tuple[Any, Any]:
    from transformers import Trainer, TrainingArguments, default_data_collator

    model = wrapped()
    arguments = TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=3, learning_rate=1e-2, save_steps=2, logging_steps=2,
        lr_scheduler_type="constant", report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        **settings,
    )  # fmt: skip
    rows = torch.randint(3, 24, (6, 5), generator=torch.Generator().manual_seed(0))
    data = [{"input_ids": row.tolist(), "labels": int(row.sum() % LABELS)} for row in rows]
    trainer = Trainer(model, arguments, data_collator=default_data_collator, train_dataset=data, eval_dataset=data)
    trainer.train(resume_from_checkpoint=resume)
    return trainer, model


def test_the_trainer_trains_checkpoints_and_takes_the_best(tmp_path: Path) -> None:
    trainer, model = by_trainer(tmp_path, 4, eval_strategy="steps", eval_steps=2, load_best_model_at_end=True)
    assert theta_of(model).abs().min() > 0
    best = PeftModel.from_pretrained(fresh("bert").model, trainer.state.best_model_checkpoint)
    assert torch.equal(theta_of(best), theta_of(model))
    assert torch.equal(logits(best, batch_of("bert")), logits(model, batch_of("bert")))


def test_the_trainer_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    whole = by_trainer(tmp_path / "whole", 4)[1]
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "half" / "checkpoint-2")
    half = by_trainer(tmp_path / "half", 4, resume=str(tmp_path / "half" / "checkpoint-2"))[1]
    assert torch.equal(theta_of(whole), theta_of(half))


def test_the_trainer_takes_checkpointing_accumulation_and_bf16(tmp_path: Path) -> None:
    model = by_trainer(tmp_path, 2, gradient_checkpointing=True, gradient_accumulation_steps=2, bf16=True)[1]
    assert theta_of(model).abs().min() > 0
    assert theta_of(model).dtype == torch.float32
    assert model.base_model.subspace.materialisations == 2  # once at the start, once after the first step


# ---------------------------------------------------------------------- errors


def test_a_second_adapter_is_refused_and_the_first_goes_on() -> None:
    model = wrapped()
    with pytest.raises(SpecError, match="carries one subspace, got 'other' as another"):
        model.add_adapter("other", config())
    with pytest.raises(SpecError, match="the only adapter of its model: take it off with unload"):
        model.delete_adapter("default")
    assert list(model.peft_config) == ["default"]
    trained(model)


def test_empty_weights_are_refused() -> None:
    with pytest.raises(SpecError, match="needs low_cpu_mem_usage=False"):
        get_peft_model(fresh("bert").model, config(), low_cpu_mem_usage=True)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"subspace_dim": 0}, "subspace_dim: Input should be greater than or equal to 1, got 0"),
        ({"lambdas": "block"}, "lambdas: Input should be 'layer' or 'tensor', got 'block'"),
        ({"projection": "dence"}, "unknown projection 'dence'.*did you mean 'dense'"),
        ({"subspace_dim": 3}, "subspace_dim must be more than the 4 lambdas"),
        ({"parameters": ["*.wieght"]}, r"pattern '\*\.wieght' in parameters= matches no parameter"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        wrapped(**settings)


def test_without_peft_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['peft'] = None; import intrinsic.peft"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip().splitlines()[-1] == (
        "ImportError: intrinsic.peft needs the library peft, which is not installed: pip install 'intrinsic[peft]'"
    )


# ---------------------------------------------------------------------- what is taken for granted of peft


def test_peft_is_the_minor_version_that_this_was_written_for() -> None:
    """Its hooks are internal. A new minor version: look at this test, run this file, then raise the pin."""
    assert version("peft").startswith("0.21.")
    hooks = {
        "inject_adapter": ["model", "adapter_name", "autocast_adapter_dtype", "low_cpu_mem_usage", "state_dict"],
        "set_adapter": ["adapter_name", "inference_mode"],
        "set_requires_grad": ["adapter_names", "requires_grad"],
        "_enable_adapter_layers": ["enabled"],
        "_unload_and_optionally_merge": ["merge", "progressbar", "safe_merge", "adapter_names"],
        "_get_adapter_state_dict": ["model", "config", "adapter_name", "state_dict", "unwanted_adapter_names"],
        "_remap_adapter_state_dict_for_load": ["model", "config", "adapter_name", "state_dict"],
    }
    for name, parameters in hooks.items():
        assert [p for p in inspect.signature(getattr(BaseTuner, name)).parameters if p != "self"] == parameters, name
    assert BaseTuner.__abstractmethods__ == {"_create_and_replace"}
    assert isinstance(BaseTunerLayer._disable_adapters, bool)
    assert all(str(key.value) == key for key in peft.mapping.PEFT_TYPE_TO_TUNER_MAPPING)
