"""Pretrained models: what comes from the checkpoint, what from the seed, and what is said about it."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path
from typing import Any

import model_folders
import numpy as np
import pytest
import torch
from model_folders import batch_of, load, same, split
from transformers import AutoModel, AutoModelForSequenceClassification

from intrinsic.errors import ModelError, SpecError
from intrinsic.models import load_model
from intrinsic.models.quiet import quiet
from intrinsic.spec import ModelSpec
from intrinsic.subspace.layout import is_under

ARCHITECTURES = sorted(model_folders.TEXT)
POOLINGS = ("cls", "mean")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_seed_moves_the_head_and_nothing_else(folders: dict[str, Path], name: str, pooling: str) -> None:
    one, again, other = (load(folders[name], pooling=pooling, seed=seed) for seed in (1, 1, 2**64 - 1))
    (head, backbone), (head_again, _), (head_other, backbone_other) = split(one), split(again), split(other)
    assert same(head, head_again)
    assert same(backbone, backbone_other)
    moved = [key for key in head if not torch.equal(head[key], head_other[key])]
    assert {key for key in head if key.endswith("weight") and head[key].ndim == 2} <= set(moved)
    assert one.weights_sha256 == other.weights_sha256
    assert all(any(is_under(key, (prefix,)) for key in head) for prefix in one.head_names)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_backbone_is_the_checkpoint(folders: dict[str, Path], name: str) -> None:
    with quiet():
        own = AutoModel.from_pretrained(folders[name]).state_dict()
    for pooling in POOLINGS:
        loaded = load(folders[name], pooling=pooling)
        _, backbone = split(loaded)
        inner = "" if pooling == "cls" or name != "t5" else "encoder."
        for key, tensor in backbone.items():
            assert torch.equal(tensor, own[inner + key.partition(".")[2]]), key


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_head_does_not_depend_on_the_depth(folders: dict[str, Path], name: str) -> None:
    heads = [split(load(folders[name], layers=layers, pooling="cls"))[0] for layers in (1, 2, None)]
    assert same(heads[0], heads[1])
    assert same(heads[0], heads[2])


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", [*ARCHITECTURES, "vit"])
def test_layers_keeps_the_first_ones(folders: dict[str, Path], name: str, pooling: str) -> None:
    kind = "vision" if name == "vit" else "text"
    whole = split(load(folders[name], pooling=pooling, kind=kind))[1]
    cut = load(folders[name], pooling=pooling, kind=kind, layers=2)
    kept = split(cut)[1]
    assert all(torch.equal(tensor, whole[key]) for key, tensor in kept.items())
    layer_of = re.compile(r"\.(\d+)\.")  # the first number in a name; T5 numbers the parts of a block as well
    assert {found[1] for key in kept if (found := layer_of.search(key))} == {"0", "1"}
    dropped = whole.keys() - kept.keys()
    assert {found[1] for key in dropped if (found := layer_of.search(key))} == {"2"}
    assert all(layer_of.search(key) for key in dropped)
    assert "2 of 3 layers" in cut.description


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", [*ARCHITECTURES, "vit"])
def test_the_outline_has_the_same_tensors_and_reads_no_weights(
    folders: dict[str, Path], name: str, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "vision" if name == "vit" else "text"
    whole = load(folders[name], pooling=pooling, kind=kind, layers=2)
    monkeypatch.setattr("intrinsic.models.pretrained._from_checkpoint", lambda *_: pytest.fail("weights were read"))
    spec = ModelSpec(name=str(folders[name]), pooling=pooling, layers=2)
    facts: Any = {"num_labels": whole.model.config.num_labels, "problem": "classification", "kind": kind, "seed": 0}
    outline = load_model(spec, **facts, weights=False)
    assert all(parameter.is_meta for parameter in outline.model.parameters())
    named = [
        {key: (parameter.shape, parameter.requires_grad) for key, parameter in loaded.model.named_parameters()}
        for loaded in (outline, whole)
    ]
    assert named[0] == named[1]  # a tied tensor comes once, so the ties are the same too
    assert outline.embedding_names == whole.embedding_names
    assert {name.split(".")[-1] for name in outline.head_names} <= {name.split(".")[-1] for name in whole.head_names}


def test_truncation_gives_the_intermediate_hidden_state(folders: dict[str, Path]) -> None:
    cut = load(folders["bert"], layers=2, pooling="mean")
    batch = batch_of(cut, model_folders.LONG)
    with torch.no_grad():
        whole = load(folders["bert"], pooling="mean").model.backbone(**batch, output_hidden_states=True)
        shorter = cut.model.backbone(**batch).last_hidden_state
    torch.testing.assert_close(shorter, whole.hidden_states[2])


@pytest.mark.parametrize("name", [*ARCHITECTURES, "vit"])
def test_more_layers_than_there_are(folders: dict[str, Path], name: str) -> None:
    with pytest.raises(ModelError, match=r"--layers 4 is more than the 3 layers"):
        load(folders[name], layers=4, kind="vision" if name == "vit" else "text")


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_regression_and_gradients(folders: dict[str, Path], name: str, pooling: str) -> None:
    loaded = load(folders[name], pooling=pooling, num_labels=1)
    logits = loaded.model(**batch_of(loaded, model_folders.SHORT, model_folders.LONG)).logits
    assert logits.shape == (2, 1)
    logits.sum().backward()
    idle = {key for key, parameter in loaded.model.named_parameters() if parameter.grad is None}
    assert not idle


def test_a_pooler_the_checkpoint_lacks_belongs_to_the_head(folders: dict[str, Path]) -> None:
    assert load(folders["bert"]).head_names == ("bert.pooler", "classifier")
    assert load(folders["bert-pooler"]).head_names == ("classifier",)
    assert not any("pooler" in name for name, _ in load(folders["bert"], pooling="mean").model.named_parameters())


def test_a_head_in_the_checkpoint_is_not_taken_over(folders: dict[str, Path], tmp_path: Path) -> None:
    fine_tuned: Any = load(folders["bert"], num_labels=3, seed=7).model
    folder = shutil.copytree(folders["bert"], tmp_path / "fine-tuned")
    with quiet():
        fine_tuned.save_pretrained(folder)
    for labels in (2, 3):  # another width than the checkpoint's, and the same
        head, _ = split(load(folder, num_labels=labels))
        assert torch.equal(
            head["classifier.weight"], split(load(folders["bert"], num_labels=labels))[0]["classifier.weight"]
        )
    assert load(folder).head_names == ("classifier",)  # that checkpoint does bring a pooler


@pytest.mark.parametrize("name", ["t5", "gpt2"])
def test_a_composed_model_saves_and_loads_like_any_other(folders: dict[str, Path], tmp_path: Path, name: str) -> None:
    loaded = load(folders[name])
    model: Any = loaded.model
    with quiet():
        model.save_pretrained(tmp_path)
        back = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    saved, read, batch = model.state_dict(), back.state_dict(), batch_of(loaded, model_folders.LONG)
    assert saved.keys() == read.keys()
    assert all(torch.equal(read[key], tensor) for key, tensor in saved.items())
    with torch.no_grad():  # not to the last bit: products may depend on how the file lies in memory
        torch.testing.assert_close(back(**batch).logits, model(**batch).logits, rtol=1e-6, atol=1e-6)


def test_embeddings_are_named_under_every_alias(folders: dict[str, Path]) -> None:
    names = {name: load(folders[name], pooling="cls").embedding_names for name in ("bert", "gpt2", "llama", "t5")}
    parts = ("word", "position", "token_type")
    assert names["bert"] == tuple(sorted(f"bert.embeddings.{part}_embeddings.weight" for part in parts))
    assert names["gpt2"] == ("transformer.wpe.weight", "transformer.wte.weight")
    assert names["llama"] == ("model.embed_tokens.weight",)
    shared = {"transformer.shared.weight", "transformer.encoder.embed_tokens.weight"}
    assert shared | {"transformer.decoder.embed_tokens.weight"} < set(names["t5"])
    vit = load(folders["vit"], kind="vision").embedding_names
    assert vit == ("vit.embeddings.cls_token", "vit.embeddings.position_embeddings")


def test_decoders_know_their_padding(folders: dict[str, Path]) -> None:
    for name in ("gpt2", "llama"):
        loaded = load(folders[name])
        model: Any = loaded.model
        assert model.config.pad_token_id == loaded.preprocessor.pad_token_id == model_folders.VOCAB["</s>"]
        assert loaded.preprocessor.padding_side == "right"
        batch = batch_of(loaded, model_folders.SHORT)
        assert loaded.model(**batch).past_key_values is None  # keys kept for generation would cost memory


def test_a_tokenizer_is_fitted_to_the_model(folders: dict[str, Path]) -> None:
    assert load(folders["bert"]).preprocessor.model_max_length == 40
    assert load(folders["roberta"]).preprocessor.model_max_length == 39  # positions start behind the padding index 0
    for name in ("gpt2", "roberta", "distilbert"):
        assert "token_type_ids" not in load(folders[name]).preprocessor.model_input_names


def test_weights_become_float32(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["gpt2"], tmp_path / "half")
    with quiet():
        half = AutoModel.from_pretrained(folder, dtype=torch.bfloat16)
        half.save_pretrained(folder)
    loaded = load(folder)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    assert torch.equal(loaded.model.state_dict()["transformer.wte.weight"], half.state_dict()["wte.weight"].float())


def test_the_hash_is_of_the_weights_and_not_of_the_files(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["bert-pooler"], tmp_path / "shards")
    whole = load(folders["bert-pooler"])
    (folder / "model.safetensors").unlink()
    with quiet():
        AutoModel.from_pretrained(folders["bert-pooler"]).save_pretrained(folder, max_shard_size="8KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    assert load(folder).weights_sha256 == whole.weights_sha256
    assert load(folder, layers=1).weights_sha256 != whole.weights_sha256
    model: Any = whole.model
    with quiet(), torch.no_grad():
        model.bert.encoder.layer[1].output.dense.bias[3] += 1e-6
        model.save_pretrained(folder)
        (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    assert load(folder).weights_sha256 != whole.weights_sha256


def test_global_random_states_are_untouched(folders: dict[str, Path]) -> None:
    torch.manual_seed(3), random.seed(3), np.random.seed(3)
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    for pooling in POOLINGS:
        load(folders["bert"], pooling=pooling)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


def test_loading_is_silent_and_leaves_logging_as_it_was(
    folders: dict[str, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    import logging
    import warnings

    from huggingface_hub.utils import are_progress_bars_disabled
    from transformers.utils import logging as hf_logging

    hub = logging.getLogger("huggingface_hub")

    def state() -> tuple[Any, ...]:
        bars = hf_logging.is_progress_bar_enabled(), are_progress_bars_disabled()
        return (hf_logging.get_verbosity(), hub.level, *bars, list(warnings.filters))

    hf_logging.set_verbosity_info()
    try:
        before = state()
        for name in ("bert", "t5", "gpt2"):
            load(folders[name])
        assert state() == before
        with pytest.raises(ModelError):
            load(folders["bert"], layers=9)
        assert state() == before
    finally:
        hf_logging.set_verbosity_warning()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("labels", "problem"), [(2, "regression"), (1, "classification"), (0, "classification")])
def test_labels_must_fit_the_problem(labels: int, problem: Any) -> None:
    with pytest.raises(SpecError, match=f"{problem} has .* got {labels}"):
        load_model(ModelSpec(), num_labels=labels, problem=problem, kind="text", seed=0)


def test_a_folder_has_no_revisions(folders: dict[str, Path]) -> None:
    with pytest.raises(SpecError, match="a revision goes with a model on the Hub"):
        load(folders["bert"], revision="main")
