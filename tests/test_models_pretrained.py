"""Pretrained models: heads, pooling, truncation, seeds, silence. The oracles are transformers' own models."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import model_folders
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForImageClassification, AutoModelForSequenceClassification

from intrinsic.errors import ModelError, SpecError
from intrinsic.models import load_model
from intrinsic.models.loaded import LoadedModel, has_prefix
from intrinsic.models.pooling import dropout_rate, masked_mean
from intrinsic.models.quiet import quiet
from intrinsic.spec import ModelSpec

ARCHITECTURES = sorted(model_folders.TEXT)
POOLINGS = ("cls", "mean")


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    made = {name: model_folders.save_text_model(name, root / name) for name in ARCHITECTURES}
    return made | {"vit": model_folders.save_vit(root / "vit")}


def load(folder: Path, *, seed: int = 0, kind: Any = "text", num_labels: int = 3, **settings: Any) -> LoadedModel:
    spec = ModelSpec(name=str(folder), **settings)
    problem: Any = "regression" if num_labels == 1 else "classification"
    return load_model(spec, num_labels=num_labels, problem=problem, kind=kind, seed=seed)


def batch_of(loaded: LoadedModel, *texts: str) -> dict[str, torch.Tensor]:
    return dict(loaded.preprocessor(list(texts), padding=True, return_tensors="pt"))


def split(loaded: LoadedModel) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(head, backbone) parameters."""
    head, backbone = {}, {}
    for name, parameter in loaded.model.named_parameters():
        (head if has_prefix(name, loaded.head_names) else backbone)[name] = parameter.detach()
    return head, backbone


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_seed_moves_the_head_and_nothing_else(folders: dict[str, Path], name: str, pooling: str) -> None:
    one, again, other = (load(folders[name], pooling=pooling, seed=seed) for seed in (1, 1, 2**64 - 1))
    (head, backbone), (head_again, _), (head_other, backbone_other) = split(one), split(again), split(other)
    assert same(head, head_again)
    assert same(backbone, backbone_other)
    moved = [key for key in head if not torch.equal(head[key], head_other[key])]
    assert {key for key in head if key.endswith("weight") and head[key].ndim == 2} <= set(moved)
    assert one.weights_sha256 == other.weights_sha256
    assert all(any(has_prefix(key, (prefix,)) for key in head) for prefix in one.head_names)


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
    batch = batch_of(loaded, model_folders.LONG)
    with torch.no_grad():
        assert torch.equal(back(**batch).logits, model(**batch).logits)


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


def test_a_fresh_process_is_silent_too(folders: dict[str, Path]) -> None:
    code = (
        "import sys; from intrinsic.models import load_model; from intrinsic.spec import ModelSpec\n"
        "for name in sys.argv[1:]:\n"
        "    load_model(ModelSpec(name=name), num_labels=2, problem='classification', kind='text', seed=0)\n"
    )
    names = [str(folders[name]) for name in ("bert", "llama")]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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


@pytest.mark.parametrize(("labels", "problem"), [(2, "regression"), (1, "classification"), (0, "classification")])
def test_labels_must_fit_the_problem(labels: int, problem: Any) -> None:
    with pytest.raises(SpecError, match=f"regression has 1 label and classification 2 or more, got {labels}"):
        load_model(ModelSpec(), num_labels=labels, problem=problem, kind="text", seed=0)


def test_a_folder_has_no_revisions(folders: dict[str, Path]) -> None:
    with pytest.raises(SpecError, match="a revision goes with a model on the Hub"):
        load(folders["bert"], revision="main")
