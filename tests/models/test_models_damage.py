"""A damaged or foreign folder ends in one ModelError, in one sentence, and never runs code."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_folders
import pytest
import torch
from safetensors.torch import load_file, save_file

from intrinsic.errors import ModelError
from intrinsic.models import load_model
from intrinsic.models.loaded import LoadedModel
from intrinsic.spec import ModelSpec


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_folders.save_text_model("bert-pooler", tmp_path_factory.mktemp("sound") / "bert")


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "bert")


def load(folder: Path, *, kind: Any = "text", **settings: Any) -> LoadedModel:
    spec = ModelSpec(name=str(folder), **settings)
    return load_model(spec, num_labels=2, problem="classification", kind=kind, seed=0)


def edit_config(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not ...}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def cut(file: Path, keep: int) -> None:
    file.write_bytes(file.read_bytes()[:keep])


def shard_index(folder: Path, text: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(text)


def without_vocabulary(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')


def poison(tensors: dict[str, torch.Tensor]) -> None:
    tensors["embeddings.LayerNorm.bias"][2] = float("nan")


def forget_layer(tensors: dict[str, torch.Tensor]) -> None:
    for key in [key for key in tensors if ".layer.1.attention" in key]:
        del tensors[key]


def flatten(tensors: dict[str, torch.Tensor]) -> None:
    tensors["embeddings.word_embeddings.weight"] = torch.zeros(32, 5)


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "holds no model: expected a config.json"),
    "config is not JSON": (lambda f: (f / "config.json").write_text("{oops"), "not readable JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "must hold a JSON object, got list"),
    "config is binary": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), "not readable JSON"),
    "no model_type": (lambda f: edit_config(f, model_type=...), "names no model_type"),
    "unknown model_type": (
        lambda f: edit_config(f, model_type="grandiloquent"),
        r"is a 'grandiloquent', which transformers \S+ does not know",
    ),
    "wrong field": (lambda f: edit_config(f, num_hidden_layers="three"), "does not give"),
    "quantised": (
        lambda f: edit_config(f, quantization_config={"quant_method": "bitsandbytes", "load_in_8bit": True}),
        "holds quantised weights",
    ),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no weights: expected model.safetensors"),
    "truncated": (lambda f: cut(f / "model.safetensors", 9000), "damaged or cut off"),
    "truncated header": (lambda f: cut(f / "model.safetensors", 100), "damaged or cut off"),
    "empty": (lambda f: cut(f / "model.safetensors", 0), "damaged or cut off"),
    "LFS pointer": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "Git LFS pointer",
    ),
    "shard missing": (
        lambda f: shard_index(f, '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}'),
        "lacks 1 of 1 weight files",
    ),
    "shard outside": (
        lambda f: shard_index(f, '{"weight_map": {"a": "../bert/config.json"}}'),
        "lacks 1 of 1 weight files",
    ),
    "index damaged": (lambda f: shard_index(f, '{"weight_map": []}'), "expected a weight_map"),
    "not finite": (lambda f: edit_weights(f, poison), r"not finite in .*embeddings.LayerNorm.bias"),
    "tensors missing": (
        lambda f: edit_weights(f, forget_layer),
        r"lack \d+ tensors of the backbone \(encoder.layer.1.attention",
    ),
    "wrong shape": (
        lambda f: edit_weights(f, flatten),
        r"word_embeddings.weight has shape \(32, 5\) and the configuration asks for \(32, 16\) \(1 such tensors\)",
    ),
    "other model's weights": (lambda f: edit_weights(f, dict.clear), "lack .* tensors of the backbone"),
    "config wider than weights": (lambda f: edit_config(f, hidden_size=32), r"do not fit its config\.json"),
    "config deeper than weights": (lambda f: edit_config(f, num_hidden_layers=5), r"encoder.layer.3"),
    "no tokenizer": (
        lambda f: [file.unlink() for file in f.glob("token*")],
        "holds no tokenizer: expected tokenizer.json or vocab.txt",
    ),
    "tokenizer without vocabulary": (without_vocabulary, "tokenizer in .*(no vocabulary|cannot be read)"),
    "tokenizer damaged": (lambda f: cut(f / "tokenizer.json", 300), "tokenizer in .* cannot be read"),
    "tokenizer of another model": (lambda f: edit_config(f, vocab_size=8), "has 22 tokens and the model embeds only 8"),
}


@pytest.mark.parametrize("name", sorted(DAMAGE))
def test_damage_is_one_clear_error(name: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damage, message = DAMAGE[name]
    damage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert "\n" not in text
    assert len(text) < 500
    assert capfd.readouterr() == ("", "")


def test_the_undamaged_folder_loads(folder: Path) -> None:
    assert load(folder).head_names == ("classifier",)
    assert len(model_folders.VOCAB) == 22  # what the message above says


def test_more_in_the_checkpoint_than_needed_is_fine(folder: Path) -> None:
    edit_weights(folder, lambda tensors: tensors.update({"cls.predictions.decoder.weight": torch.zeros(32, 16)}))
    assert load(folder).weights_sha256


def test_pickled_weights_load_as_tensors_only(folder: Path) -> None:
    expected = load(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert load(folder).weights_sha256 == expected.weights_sha256


class Hostile:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_hostile_pickle_never_runs(folder: Path, tmp_path: Path, writer: str) -> None:
    (folder / "model.safetensors").unlink()
    content = {"embeddings.word_embeddings.weight": Hostile(tmp_path / "pwned")}
    if writer == "torch":
        torch.save(content, folder / "pytorch_model.bin")
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(content))
    with pytest.raises(ModelError, match="does not give its weights"):
        load(folder)
    assert not (tmp_path / "pwned").exists()


CODE = """
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification, BertModel
(Path(__file__).parent / "ran").write_text("")
class MyConfig(BertConfig):
    model_type = "my-bert"
class MyModel(BertModel):
    config_class = MyConfig
class MyClassifier(BertForSequenceClassification):
    config_class = MyConfig
"""


@pytest.fixture
def custom(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose folder brings its own code; what transformers copies of it goes under tmp_path."""
    modules = tmp_path / "modules"
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(modules))
    monkeypatch.syspath_prepend(str(modules))
    (folder / "code_of_mine.py").write_text(CODE)
    auto = {
        "AutoConfig": "code_of_mine.MyConfig",
        "AutoModel": "code_of_mine.MyModel",
        "AutoModelForSequenceClassification": "code_of_mine.MyClassifier",
    }
    edit_config(folder, model_type="my-bert", auto_map=auto)
    return folder


def test_code_in_the_folder_runs_only_when_asked_for(custom: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="runs code of its own: read that code, then pass --trust-remote-code"):
        load(custom)
    assert not list(tmp_path.rglob("ran"))
    for pooling in ("cls", "mean"):
        loaded = load(custom, trust_remote_code=True, pooling=pooling)
        batch = loaded.preprocessor(["a good film"], return_tensors="pt")
        assert loaded.model(**batch).logits.shape == (1, 2)
        assert loaded.head_names == ("classifier",)
    assert list(tmp_path.rglob("ran"))


def test_a_text_model_for_images_and_the_other_way(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no image processor: expected preprocessor_config\.json"):
        load(folder, kind="vision")
    vit = model_folders.save_vit(tmp_path / "vit")
    with pytest.raises(ModelError, match="holds no tokenizer"):
        load(vit)
    shutil.copy(folder / "tokenizer.json", vit)
    shutil.copy(folder / "tokenizer_config.json", vit)
    with pytest.raises(ModelError, match="does not give a text classification model"):
        load(vit)


def test_staged_networks_cannot_be_cut(tmp_path: Path) -> None:
    from intrinsic.models.layers import depth, truncate

    class Staged:
        model_type, depths, num_hidden_layers = "swin", [2, 2, 6, 2], 4

    assert depth(Staged()) is None
    with pytest.raises(ModelError, match="swin is no plain stack of layers, so --layers cannot cut it"):
        truncate(Staged(), 1)


def test_a_decoder_shorter_than_its_encoder_keeps_its_own(tmp_path: Path) -> None:
    from transformers import T5Config

    from intrinsic.models.layers import truncate

    config = T5Config(num_layers=6, num_decoder_layers=2)
    truncate(config, 4)
    assert (config.num_layers, config.num_decoder_layers) == (4, 2)
