"""Checks of a model's folder in the Hub's layout: which files are read, and whether they are complete.

    config.json                                     the architecture
    model.safetensors, or its index and the shards  the weights; else pytorch_model.bin in the same way
    tokenizer.json, vocab.txt, ...                  for text;  preprocessor_config.json for images
    1_Pooling/config.json                           how a sentence encoder pools (sentence-transformers)

Weights in safetensors are preferred. Pickled ones (pytorch_model.bin) are accepted, because older models have nothing
else, but are read only by torch.load(weights_only=True), which builds tensors and runs no code.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from intrinsic.errors import ModelError
from intrinsic.spec import Inputs

LAYOUTS = ("model.safetensors", "pytorch_model.bin")
"""Names of the file with the weights, preferred first; `<name>.index.json` where it is cut into shards."""
VOCABULARIES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "spm.model",
    "sentencepiece.bpe.model",
    "*.tiktoken",
)
"""Patterns of the files that may hold a tokenizer's vocabulary; one such file is enough."""
LFS_POINTER = b"version https://git-lfs"
"""First bytes of a file that Git LFS puts in the place of the real one."""


def check_folder(folder: Path, kind: Inputs) -> None:
    """Raise ModelError, in one sentence, for files that are absent, damaged or cut off; no weights are loaded."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no model: expected a config.json in it, as the Hub lays models out")
    if "model_type" not in read_json(folder / "config.json"):
        raise ModelError(f"{folder / 'config.json'} names no model_type, so the architecture is unknown")
    for file in weight_files(folder):
        _check_whole(file)
    if not has_preprocessor(folder, kind):
        expected = "tokenizer.json or vocab.txt" if kind == "text" else "preprocessor_config.json"
        what = "tokenizer" if kind == "text" else "image processor"
        raise ModelError(f"{folder} holds no {what}: expected {expected} beside config.json")


def has_preprocessor(folder: Path, kind: Inputs) -> bool:
    """Whether the folder holds a tokenizer, for `text`, or the settings of an image processor, for `vision`."""
    patterns = (*VOCABULARIES, "tokenizer_config.json") if kind == "text" else ("preprocessor_config.json",)
    return any(any(folder.glob(pattern)) for pattern in patterns)


def is_complete(folder: Path, kind: Inputs) -> bool:
    """Whether every file that a model needs exists, whatever it holds: a download may have been cut off."""
    try:
        weight_files(folder)
    except ModelError:
        return False
    return (folder / "config.json").is_file() and has_preprocessor(folder, kind)


def weight_files(folder: Path) -> list[Path]:
    """The files with the weights, safetensors preferred to pickles. Raises ModelError if one is missing."""
    for name in LAYOUTS:
        if (folder / name).is_file():
            return [folder / name]
        if (folder / f"{name}.index.json").is_file():
            return _shards(folder / f"{name}.index.json")
    raise ModelError(f"{folder} holds no weights: expected {LAYOUTS[0]} (or {LAYOUTS[1]}), or its index and shards")


def _shards(index: Path) -> list[Path]:
    table = read_json(index).get("weight_map")
    if not isinstance(table, dict) or not table:
        raise ModelError(f"{index} is damaged: expected a weight_map from tensors to files; fetch it again")
    names = sorted({str(name) for name in table.values()})
    missing = [name for name in names if "/" in name or not (index.parent / name).is_file()]
    if missing:
        raise ModelError(f"{index.parent} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing[:3])}")
    return [index.parent / name for name in names]


def _check_whole(file: Path) -> None:
    with file.open("rb") as stream:
        start = stream.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise ModelError(f"{file} is a Git LFS pointer, not the weights: run `git lfs pull` in its folder")
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, framework="pt"):
                pass
        except SafetensorError as error:
            raise ModelError(f"{file} is damaged or cut off ({one_line(error)}): fetch it again") from error


def read_json(file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises ModelError if the file cannot be read or holds something else."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not readable JSON ({one_line(error)}): fetch it again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file} must hold a JSON object, got {type(value).__name__}: fetch it again")
    return value


def asks_for_mean(folder: Path) -> bool:
    """Whether sentence-transformers' pooling file asks for the mean over tokens, in its old or its new spelling."""
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        return False
    config = read_json(file)
    return config.get("pooling_mode_mean_tokens") is True or config.get("pooling_mode") == "mean"


def one_line(error: BaseException) -> str:
    """The first line of an error's message, cut after 200 characters, to be quoted in an error of this package."""
    text = str(error).strip().partition("\n")[0].strip().rstrip(".:")
    return (text if len(text) <= 200 else f"{text[:200]}...") or type(error).__name__
