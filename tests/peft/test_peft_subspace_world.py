"""SubspaceConfig under generate() and the Trainer, its errors, and what it takes for granted of peft."""

from __future__ import annotations

import copy
import inspect
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
from peft import PeftModel, get_peft_model
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft_models import D, config, theta_of, trained, wrapped

from intrinsic.errors import SpecError
from intrinsic.peft import SubspaceConfig

pytestmark = pytest.mark.filterwarnings(  # of transformers, at what peft asks of it
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
    "ignore:`gradient_checkpointing:FutureWarning",
)


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
