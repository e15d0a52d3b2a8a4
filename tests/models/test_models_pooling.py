"""From hidden states to logits: both poolings against transformers' own models, padding, checkpointing."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import model_folders
import numpy as np
import pytest
import torch
from model_folders import batch_of, load, split
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForSequenceClassification

from intrinsic.models.pooling import dropout_rate, masked_mean
from intrinsic.models.quiet import quiet

ARCHITECTURES = sorted(model_folders.TEXT)
POOLINGS = ("cls", "mean")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_do_not_depend_on_padding(folders: dict[str, Path], name: str, pooling: str) -> None:
    loaded = load(folders[name], pooling=pooling)
    both = batch_of(loaded, model_folders.SHORT, model_folders.LONG)
    assert int(both["attention_mask"][0, -1]) == 0  # padded on the right
    with torch.no_grad():
        together = loaded.model(**both).logits
        alone = [loaded.model(**batch_of(loaded, text)).logits for text in (model_folders.SHORT, model_folders.LONG)]
    assert together.shape == (2, 3)
    assert not torch.allclose(together[0], together[1], atol=1e-5)
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_cls_computes_what_the_architectures_own_model_computes(folders: dict[str, Path], name: str) -> None:
    loaded = load(folders[name], pooling="cls")
    with quiet():
        own = AutoModelForSequenceClassification.from_pretrained(folders[name], num_labels=3)
    own.config.pad_token_id = loaded.model.config.pad_token_id
    head, _ = split(loaded)
    assert not own.load_state_dict(head, strict=False).unexpected_keys
    batch = batch_of(loaded, model_folders.SHORT, model_folders.LONG)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(**batch).logits, own.eval()(**batch).logits, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_mean_is_the_average_over_attended_tokens(folders: dict[str, Path], name: str) -> None:
    loaded = load(folders[name], pooling="mean")
    with quiet():
        own = AutoModel.from_pretrained(folders[name]).eval()
    own = own.get_encoder() if own.config.is_encoder_decoder else own
    batch = batch_of(loaded, model_folders.SHORT, model_folders.LONG)
    with torch.no_grad():
        hidden = own(**batch).last_hidden_state.double().numpy()
        logits = loaded.model(**batch).logits
    rows = [hidden[i, : int(n)].mean(axis=0) for i, n in enumerate(batch["attention_mask"].sum(dim=1))]
    head, _ = split(loaded)
    weight = head["classifier.weight"].double().numpy()
    expected = np.stack(rows) @ weight.T + head["classifier.bias"].double().numpy()
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", [*ARCHITECTURES, "vit"])
def test_gradient_checkpointing_changes_no_gradient(folders: dict[str, Path], name: str, pooling: str) -> None:
    loaded = load(folders[name], pooling=pooling, kind="vision" if name == "vit" else "text")
    batch = {"pixel_values": torch.randn(2, 3, 8, 8)} if name == "vit" else batch_of(loaded, model_folders.LONG)

    def gradients() -> dict[str, torch.Tensor]:
        loaded.model.zero_grad()
        loaded.model(**batch).logits.square().sum().backward()
        return {key: p.grad.clone() for key, p in loaded.model.named_parameters() if p.grad is not None}

    plain = gradients()
    model: Any = loaded.model
    for module in model.modules():  # checkpointing works in training mode only; dropout would hide a difference
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0
        if hasattr(module, "attention_dropout") and isinstance(module.attention_dropout, float):
            module.attention_dropout = 0.0
        if hasattr(module, "dropout_prob") and isinstance(module.dropout_prob, float):
            module.dropout_prob = 0.0
    model.train()
    with quiet():  # transformers 5.23 has renamed both methods and warns of the old names
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        assert model.is_gradient_checkpointing
        checkpointed = gradients()
        model.gradient_checkpointing_disable()
        assert not model.is_gradient_checkpointing
    assert plain.keys() == checkpointed.keys()
    for key in plain:
        torch.testing.assert_close(plain[key], checkpointed[key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["auto", "mean"])
def test_images(folders: dict[str, Path], pooling: str) -> None:
    loaded = load(folders["vit"], kind="vision", pooling=pooling)
    pixels = loaded.preprocessor(np.zeros((12, 12, 3), dtype=np.uint8), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 8, 8)
    images = torch.randn(2, 3, 8, 8)
    logits = loaded.model(pixel_values=images).logits
    assert logits.shape == (2, 3)
    assert loaded.head_names == ("classifier",)
    with quiet():
        own = AutoModelForImageClassification.from_pretrained(folders["vit"], num_labels=3).eval()
    own.load_state_dict(split(loaded)[0], strict=False)
    hidden = own.vit(images).last_hidden_state
    expected = own.classifier(hidden[:, 0] if pooling == "auto" else hidden.mean(dim=1))
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=1e-5)


def test_auto_pooling_follows_the_sentence_encoders_file(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["bert"], tmp_path / "encoder")
    (folder / "1_Pooling").mkdir()
    for text, pooling in [
        ('{"pooling_mode_mean_tokens": true}', "mean"),
        ('{"pooling_mode": "mean"}', "mean"),
        ('{"pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true}', "cls"),
    ]:
        (folder / "1_Pooling" / "config.json").write_text(text)
        assert f"{pooling} pooling" in load(folder).description
    assert "cls pooling" in load(folders["bert"]).description


def test_masked_mean_of_nothing_and_of_half_precision() -> None:
    hidden = torch.randn(2, 5, 4)
    mask = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    pooled = masked_mean(hidden, mask)
    torch.testing.assert_close(pooled[0], hidden[0, :2].mean(dim=0))
    assert torch.equal(pooled[1], torch.zeros(4))
    assert masked_mean(hidden.bfloat16(), mask).dtype == torch.bfloat16
    assert torch.isfinite(masked_mean(torch.full((1, 600, 1), 200.0).half(), torch.ones(1, 600))).all()


def test_the_dropout_is_the_architectures_own(folders: dict[str, Path]) -> None:
    expected = {"bert": 0.1, "distilbert": 0.2, "gpt2": 0.1, "llama": 0.0, "t5": 0.0}
    for name, rate in expected.items():
        model: Any = load(folders[name], pooling="mean").model
        assert model.dropout.p == rate, name
        assert not model.training
    assert dropout_rate(object()) == 0.0
