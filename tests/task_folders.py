"""Small data sets in the layouts that tasks are read from, and a tiny tokenizer."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from intrinsic.tasks.catalogue import TASKS

GLUE_FILES: dict[str, dict[str, str]] = {
    "cola": {
        "train.tsv": "gj04\t1\t\tOur \"friends won't buy it.\ngj04\t0\t*\tThem likes it.\n",
        "dev.tsv": "gj04\t1\t\tThe sailors rode.\nbc01\t0\t*\tBook read the.\nbc01\t1\t\tI left.\n",
    },
    "sst2": {
        "train.tsv": 'sentence\tlabel\nhide "new secretions \t0\na fine film \t1\n',
        "dev.tsv": "sentence\tlabel\ncharming \t1\nbleak \t0\nbleaker \t0\n",
        "test_gold.txt": "0 no movement , no yuks\n1 rancid crème brûlée\n",
    },
    "mrpc": {
        "train.tsv": 'Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tA "one .\tOne .\n0\t3\t4\tTwo .\tThree .\n',
        "dev.tsv": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t5\t6\tFour .\t4 .\n",
        "test_labeled.tsv": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t7\t8\tFive .\t6 .\n1\t9\t9\tSix\tSix\n",
    },
    "qqp": {
        "train.tsv": (
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
            "1\t2\t3\tWhy?\tHow?\t0\n4\t5\t6\tbroken off\n7\t8\t9\tWho?\tWho is it?\t1\n"
        ),
        "dev.tsv": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tWhen?\tAt what time?\t1\n",
    },
    "stsb": {
        "train.tsv": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tn\tn\tA plane.\tAn air plane.\t5.000\n1\tg\tf\ty\t1\tn\tn\tA man.\tA dog.\t0.250\n",
        "dev.tsv": "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tg\tf\ty\t1\tn\tn\tA hat.\tThe hat.\t4.750\n",
    },
    "mnli": {
        "train.tsv": "index\tpromptID\tsentence1\tsentence2\tlabel1\tgold_label\n"
        "0\t1\tIt rains.\tIt is wet.\tneutral\tentailment\n1\t2\tIt rains.\tIt is dry.\tneutral\tcontradiction\n",
        "dev_matched.tsv": "index\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n"
        "0\tMatched.\tYes.\tneutral\tneutral\tneutral\n",
        "dev_mismatched.tsv": "index\tsentence1\tsentence2\tlabel1\tlabel2\tgold_label\n"
        "0\tMismatched.\tYes.\tneutral\tneutral\tcontradiction\n",
    },
    "qnli": {
        "train.tsv": "index\tquestion\tsentence\tlabel\n"
        "0\tWho?\tHe did.\tentailment\n1\tWho?\tIt rained.\tnot_entailment\n",
        "dev.tsv": "index\tquestion\tsentence\tlabel\n0\tWhen?\tAt noon.\tentailment\n",
    },
    "rte": {
        "train.tsv": "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n1\tA.\tA.\tentailment\n",
        "dev.tsv": "index\tsentence1\tsentence2\tlabel\n0\tC.\tD.\tnot_entailment\n",
        "test.tsv": "index\tsentence1\tsentence2\n0\tE.\tF.\n",
    },
    "wnli": {
        "train.tsv": "index\tsentence1\tsentence2\tlabel\n0\tAnn hit Bo. She ran.\tAnn ran.\t1\n1\tA.\tB.\t0\n",
        "dev.tsv": "index\tsentence1\tsentence2\tlabel\n0\tC.\tD.\t0\n",
    },
}
GLUE_FILES["mnli-mm"] = GLUE_FILES["mnli"]


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files with these texts into a new folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


ROW_VALUES: dict[str, Any] = {
    "idx": {"paragraph": 0, "question": 0, "answer": 0},
    "span2_index": 1,
    "span2_text": "he",
    "text": "Then he left the room",
}


def hub_rows(name: str, count: int) -> dict[str, list[Any]]:
    """The columns that the Hub has for a text task: text that tells rows apart, labels 0, 1, 2, 0, ..."""
    info = TASKS[name]
    assert info.hub is not None
    columns = {
        column: [ROW_VALUES.get(column, f"{column} {row}") for row in range(count)] for column in info.hub.columns
    }
    if "idx" in columns:
        columns["idx"] = [{"paragraph": 0, "question": row // 2, "answer": row % 2} for row in range(count)]
    if info.problem == "regression":
        return columns | {"label": [row / 2 for row in range(count)]}
    return columns | {"label": [row % len(info.label_names) for row in range(count)]}


def hub_dataset(name: str, count: int) -> Any:
    """The same rows as a `datasets.Dataset`, with the Hub's label feature and an extra column nobody reads."""
    import datasets

    info = TASKS[name]
    data = datasets.Dataset.from_dict(hub_rows(name, count) | {"extra": list(range(count))})
    label = datasets.ClassLabel(names=list(info.label_names)) if info.label_names else datasets.Value("float32")
    return data.cast_column("label", label)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an array in LeCun's idx format; gzip if the name ends in .gz."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    data = bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def idx_folder(folder: Path, suffix: str = "", counts: tuple[int, int] = (6, 4)) -> Path:
    """A folder with a four-file MNIST of random 5 x 4 images, labels 0, 1, 2, ..."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix, count in zip(("train", "t10k"), counts, strict=True):
        write_idx(folder / f"{prefix}-images-idx3-ubyte{suffix}", rng.integers(0, 256, (count, 5, 4)))
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{suffix}", np.arange(count) % 10)
    return folder


def tiny_tokenizer(**special: str) -> Any:
    """A word-level BERT-like tokenizer over a handful of words; unknown words become [UNK]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f"]
    core = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls_token" in special:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **special,
    )  # fmt: skip


BERT = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}


def philox_order(count: int, key: int) -> list[int]:
    """Positions sorted by the first `count` outputs of Philox4x64-10 (Salmon et al. 2011) in plain integers.

    numpy's convention: the 256-bit counter is raised before each block of four words.
    """
    mask = 2**64 - 1
    words: list[int] = []
    for block in range(1, count // 4 + 2):
        c0, c1, c2, c3, k0, k1 = block, 0, 0, 0, key & mask, key >> 64
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
            c0, c1, c2, c3 = second >> 64 ^ c1 ^ k0, second & mask, first >> 64 ^ c3 ^ k1, first & mask
            k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
        words += [c0, c1, c2, c3]
    return sorted(range(count), key=lambda i: words[i])
