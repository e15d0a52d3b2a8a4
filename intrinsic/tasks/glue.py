"""GLUE's tasks, read from the Hub or from the folders of TSV files that GLUE itself distributes.

`data_dir` is a task's folder (`glue_data/MRPC`, under any name) or the folder above it. A folder with a `train.tsv` is
read as GLUE's own TSV, anything else as a copy of the Hub's data set (see hub.py). Files are read with quoting off. The
labelled test sets are the split `test`: `test_labeled.tsv` or `msr_paraphrase_test.txt` (MRPC), `test_gold.txt` (SST-2,
`label sentence` on each line); GLUE's other test files have no labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intrinsic.errors import DataError
from intrinsic.problems import PROBLEMS
from intrinsic.spec import TaskSpec
from intrinsic.tasks import hub
from intrinsic.tasks.base import Loaded, TextExamples
from intrinsic.tasks.catalogue import TaskInfo
from intrinsic.tasks.tables import Table, column, read_text, read_tsv, read_tsv_dropping, split_lines, texts, tsv_rows

_PAIR = ("sentence1", "sentence2")


@dataclass(frozen=True)
class Layout:
    """Layout of one task among GLUE's own files: folder name, text columns, label column."""

    folder: str
    columns: tuple[str, ...]
    label: str = "label"
    drop_short_lines: bool = False
    """Whether lines with too few fields are left out, as is usual for QQP's file; otherwise such a line is an error."""


LAYOUTS: dict[str, Layout] = {
    "cola": Layout("CoLA", ("sentence",)),
    "sst2": Layout("SST-2", ("sentence",)),
    "mrpc": Layout("MRPC", ("#1 String", "#2 String"), "Quality"),
    "qqp": Layout("QQP", ("question1", "question2"), "is_duplicate", drop_short_lines=True),
    "stsb": Layout("STS-B", _PAIR, "score"),
    "mnli": Layout("MNLI", _PAIR, "gold_label"),
    "mnli-mm": Layout("MNLI", _PAIR, "gold_label"),
    "qnli": Layout("QNLI", ("question", "sentence")),
    "rte": Layout("RTE", _PAIR),
    "wnli": Layout("WNLI", _PAIR),
}

_SPLIT_FILES = {
    "train": ("train.tsv",),
    "validation": ("dev.tsv",),
    "validation_matched": ("dev_matched.tsv",),
    "validation_mismatched": ("dev_mismatched.tsv",),
    "test": ("test_labeled.tsv", "test_gold.txt", "msr_paraphrase_test.txt", "test.tsv"),
    "test_matched": ("test_matched.tsv",),
    "test_mismatched": ("test_mismatched.tsv",),
}
"""Names of the file that holds a split; the first that exists is read."""


def load(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Load a task of GLUE from the folder `spec.data_dir`, or from the Hub.

    Raises DataError for a folder, file, column or label that is not as GLUE has it.
    """
    layout = LAYOUTS[info.name]
    folder = None if spec.data_dir is None else _tsv_folder(Path(spec.data_dir).expanduser(), layout)
    if folder is None:
        return hub.load(info, spec)
    splits = spec.splits or info.splits
    (train, train_file, skipped), (evaluation, eval_file, _) = (
        _read_split(info, layout, folder, split) for split in splits
    )
    note = f" ({skipped} broken lines left out)" if skipped else ""
    return Loaded(train, evaluation, info.label_names, f"GLUE's own files {train_file}{note} and {eval_file}")


def _tsv_folder(root: Path, layout: Layout) -> Path | None:
    return next((path for path in (root, root / layout.folder) if (path / "train.tsv").is_file()), None)


def _read_split(info: TaskInfo, layout: Layout, folder: Path, split: str) -> tuple[TextExamples, str, int]:
    path = _split_file(folder, split.replace("dev", "validation"))
    table, skipped = _read_table(info.name, layout, path)
    where = str(path)
    columns = tuple(texts(column(table, name, where), name, where) for name in layout.columns)
    if layout.label not in table and split.startswith("test"):
        raise DataError(f"{path} has no labels: GLUE keeps them; choose another evaluation split")
    values = column(table, layout.label, where)
    labels = PROBLEMS[info.problem].targets(values, info.label_names, where)
    return TextExamples(columns, labels), path.name, skipped


def _split_file(folder: Path, split: str) -> Path:
    if split not in _SPLIT_FILES:
        raise DataError(f"GLUE's folders have no split {split!r}; they have {', '.join(_SPLIT_FILES)}")
    for name in _SPLIT_FILES[split]:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder} has no {' or '.join(_SPLIT_FILES[split])}, which split {split!r} is read from")


def _read_table(name: str, layout: Layout, path: Path) -> tuple[Table, int]:
    if path.name == "test_gold.txt":
        return _read_gold(path), 0
    if name == "cola" and path.name != "test.tsv":
        return _read_cola(path), 0
    if layout.drop_short_lines:
        return read_tsv_dropping(path)
    return read_tsv(path), 0


def _read_gold(path: Path) -> Table:
    """Table of a file with `label sentence` on each line and no header."""
    pairs = [line.partition(" ") for line in split_lines(read_text(path))]
    return {"label": [pair[0] for pair in pairs], "sentence": [pair[2] for pair in pairs]}


def _read_cola(path: Path) -> Table:
    """Table of CoLA's file, whose lines hold source, label, the author's mark and sentence, without a header."""
    rows = tsv_rows(path)
    for number, row in enumerate(rows, 1):
        if len(row) != 4:
            raise DataError(f"{path}, line {number}: {len(row)} fields, expected CoLA's 4 without a header")
    return {"label": [row[1] for row in rows], "sentence": [row[3] for row in rows]}
