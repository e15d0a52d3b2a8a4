"""The tasks by name: what each asks, where its data are and how it is scored.

Not listed, because they are not classification of an input with a training split of its own:
GLUE's `ax`, SuperGLUE's `axb` and `axg` (evaluation sets for models trained on another task) and
`record` (picks an entity from a list as long as the passage allows). SuperGLUE's `rte` is GLUE's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from intrinsic.plugins import Registry, is_a
from intrinsic.problems import METRICS, PROBLEMS, unknown_metrics
from intrinsic.spec import Inputs, TaskSpec


@dataclass(frozen=True)
class Hub:
    """A data set on the Hub, `load_dataset(path, config)`, and the columns that are read."""

    path: str
    config: str | None
    columns: tuple[str, ...]
    label: str = "label"
    besides: str = ""
    """Other contents that a folder may have, as the start of a list in an error: "GLUE's train.tsv, or "."""


@dataclass(frozen=True)
class Pixels:
    """Normalisation x -> (x / top - mean) / std, with the statistics of the training split's pixels."""

    top: float
    mean: float
    std: float


@dataclass(frozen=True)
class TaskInfo:
    """Entry of a task in the catalogue; a target is set on `metrics[0]`, in that metric's own direction."""

    name: str
    description: str
    loader: str
    """Module and function, `package.module:load`, that reads the data: load(info, spec) -> intrinsic.tasks.base.Loaded.
    A module with a leading dot lies in intrinsic.tasks."""
    metrics: tuple[str, ...]
    """Names of the metrics, the primary one first."""
    label_names: tuple[str, ...] = ()
    """Names of the classes in the order of their ids; () where there are none, and where the data decide (`files`)."""
    splits: tuple[str, str] = ("train", "validation")
    """Names of the training and the evaluation split, unless the user names others."""
    hub: Hub | None = None
    """The data set on the Hub; None: the task has none."""
    kind: Inputs = "text"
    problem: str = "classification"
    """Name of the problem in :data:`intrinsic.problems.PROBLEMS`."""
    pixels: Pixels | None = None
    """Normalisation of the images; None for text."""
    takes: tuple[str, ...] = ("data_dir", "splits", "max_length")
    """Settings of TaskSpec that the task uses, besides the limits."""

    def asked(self, spec: TaskSpec) -> TaskInfo:
        """The entry adapted to the spec: with `regression` the problem and its metrics are those of regression."""
        if not spec.regression:
            return self
        return replace(self, problem="regression", metrics=PROBLEMS["regression"].metrics)

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score by the primary metric is better."""
        return METRICS[self.metrics[0]].higher_is_better


ACCURACY = ("accuracy",)
ACCURACY_F1 = ("accuracy", "f1", "combined")
"""Metrics of MRPC and QQP. GLUE averages the two (`combined`); accuracy leads because published d90 are of accuracy."""

ENTAILMENT2 = ("entailment", "not_entailment")
ENTAILMENT3 = ("entailment", "neutral", "contradiction")
FALSE_TRUE = ("False", "True")
DIGITS = ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
CLOTHES = (
    "T - shirt / top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip

TOPICS = ("World", "Sports", "Business", "Sci/Tech")

GLUE = "nyu-mll/glue"
SUPERGLUE = "aps/super_glue"
PAIR = ("sentence1", "sentence2")
NLI = ("premise", "hypothesis")


def _glue_hub(name: str, columns: tuple[str, ...]) -> Hub:
    return Hub(GLUE, name, columns, besides="GLUE's train.tsv, or ")


def _glue(
    name: str, about: str, columns: tuple[str, ...], labels: tuple[str, ...], metrics: tuple[str, ...] = ACCURACY
) -> TaskInfo:
    return TaskInfo(name, f"GLUE: {about}", ".glue:load", metrics, labels, hub=_glue_hub(name, columns))


def _mnli(name: str, which: str) -> TaskInfo:
    about = f"GLUE: does the premise entail the hypothesis? Evaluated on the {which} genres"
    hub = _glue_hub("mnli", NLI)
    return TaskInfo(name, about, ".glue:load", ACCURACY, ENTAILMENT3, ("train", f"validation_{which}"), hub)


def _superglue(
    config: str, about: str, columns: tuple[str, ...], labels: tuple[str, ...], metrics: tuple[str, ...] = ACCURACY
) -> TaskInfo:
    name = config.removesuffix(".fixed")
    return TaskInfo(name, f"SuperGLUE: {about}", ".hub:load", metrics, labels, hub=Hub(SUPERGLUE, config, columns))


def _anli(number: int) -> TaskInfo:
    about = f"Adversarial NLI, round {number}: does the premise entail the hypothesis?"
    splits = (f"train_r{number}", f"dev_r{number}")
    return TaskInfo(
        f"anli-r{number}", about, ".hub:load", ACCURACY, ENTAILMENT3, splits, Hub("facebook/anli", None, NLI)
    )


def _text(name: str, about: str, path: str, labels: tuple[str, ...]) -> TaskInfo:
    hub = Hub(path, None, ("text",))
    return TaskInfo(name, about, ".hub:load", ACCURACY, labels, ("train", "test"), hub)


def _reviews(name: str, about: str) -> TaskInfo:
    return TaskInfo(name, about, ".embedded:reviews", ACCURACY, ("negative", "positive"), takes=("max_length",))


def _images(name: str, about: str, labels: tuple[str, ...], pixels: Pixels, hub: Hub | None) -> TaskInfo:
    loader, takes = (".embedded:digits", ()) if hub is None else (".vision:load", ("data_dir", "splits"))
    return TaskInfo(
        name, about, loader, ACCURACY, labels, ("train", "test"), hub, kind="vision", pixels=pixels, takes=takes
    )


_ALL = (
    _glue(
        "cola", "is the sentence grammatical?", ("sentence",),
        ("unacceptable", "acceptable"), ("matthews", "accuracy"),
    ),
    _glue("sst2", "is the phrase from a film review positive?", ("sentence",), ("negative", "positive")),
    _glue("mrpc", "are the two sentences paraphrases?", PAIR, ("not_equivalent", "equivalent"), ACCURACY_F1),
    _glue(
        "qqp", "are the two questions the same?", ("question1", "question2"),
        ("not_duplicate", "duplicate"), ACCURACY_F1,
    ),
    TaskInfo(
        "stsb", "GLUE: how similar are the two sentences, from 0 to 5?", ".glue:load",
        ("pearson", "spearman", "combined"), hub=_glue_hub("stsb", PAIR), problem="regression",
    ),
    _mnli("mnli", "matched"),
    _mnli("mnli-mm", "mismatched"),
    _glue("qnli", "does the sentence answer the question?", ("question", "sentence"), ENTAILMENT2),
    _glue("rte", "does the first sentence entail the second?", PAIR, ENTAILMENT2),
    _glue("wnli", "is the pronoun filled in rightly? (dev adversarial to train)", PAIR, ENTAILMENT2[::-1]),
    _superglue("boolq", "is the answer to the question yes, by the passage?", ("question", "passage"), FALSE_TRUE),
    _superglue(
        "cb", "does the text commit its author to the hypothesis?", NLI,
        ("entailment", "contradiction", "neutral"), ("accuracy", "macro_f1", "combined"),
    ),
    _superglue(
        "copa", "which of two choices is the cause or effect? (one sequence, two classes)",
        ("premise", "choice1", "choice2", "question"), ("choice1", "choice2"),
    ),
    _superglue(
        "multirc", "is the answer to the question about the paragraph right?",
        ("paragraph", "question", "answer", "idx"), FALSE_TRUE, ("f1", "exact_match", "combined", "accuracy"),
    ),
    _superglue("wic", "has the word the same sense in both sentences?", ("word", *PAIR), FALSE_TRUE),
    _superglue(
        "wsc.fixed", "does the marked pronoun refer to the noun phrase?",
        ("text", "span1_text", "span2_text", "span2_index"), FALSE_TRUE,
    ),
    _anli(1),
    _anli(2),
    _anli(3),
    _text("yelp-polarity", "is the Yelp review bad (1) or good (2)?", "fancyzhx/yelp_polarity", ("1", "2")),
    _text("imdb", "is the IMDb review positive?", "stanfordnlp/imdb", ("neg", "pos")),
    _text("ag-news", "which of four topics has the news?", "fancyzhx/ag_news", TOPICS),
    _reviews("rotten-tomatoes", "is the Rotten Tomatoes sentence positive? (offline extra)"),
    _reviews("imdb-offline", "is the IMDb review positive? (offline extra, IMDb's training half)"),
    _images("digits", "handwritten digits 8x8, scikit-learn", DIGITS, Pixels(16.0, 0.3053, 0.3760), None),
    _images(
        "mnist", "handwritten digits 28x28", DIGITS,
        Pixels(255.0, 0.1307, 0.3081), Hub("ylecun/mnist", None, ("image",)),
    ),
    _images(
        "fashion-mnist", "articles of clothing 28x28", CLOTHES,
        Pixels(255.0, 0.2860, 0.3530), Hub("zalando-datasets/fashion_mnist", None, ("image",)),
    ),
    TaskInfo(
        "files", "your own csv, tsv, jsonl or parquet file or folder", ".files:load",
        PROBLEMS["classification"].metrics,
        takes=("data_dir", "splits", "max_length", "text_columns", "label_column", "regression"),
    ),
)  # fmt: skip


def _wrong_task(name: str, made: object) -> str | None:
    wrong = is_a(TaskInfo)(name, made)
    if wrong is not None or not isinstance(made, TaskInfo):
        return wrong
    if made.name != name:
        return f"calls itself {made.name!r}: name and entry point must agree"
    if made.problem not in PROBLEMS:
        return f"names the problem {made.problem!r}, which does not exist"
    unknown = unknown_metrics(made.metrics)
    if unknown or not made.metrics:
        return f"names the metric {unknown[0]!r}, which does not exist" if unknown else "names no metric"
    if made.kind == "vision" and made.pixels is None:
        return "has images and no `pixels`, by which they are normalised"
    return None


TASKS: Registry[TaskInfo] = Registry("task", {info.name: info for info in _ALL}, _wrong_task)
"""The tasks by name. Other packages add to them through the entry point group `intrinsic.tasks`."""
