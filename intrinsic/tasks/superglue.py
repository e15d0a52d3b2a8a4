"""Conversion of the SuperGLUE tasks that are no plain text or pair of texts into at most two texts.

COPA is posed as one sequence with two classes; its authors rank two sequences by one score instead. WSC marks the
pronoun with asterisks. MultiRC judges every answer alone and groups the answers by question for `exact_match`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intrinsic.errors import DataError

Columns = Mapping[str, Sequence[Any]]
Texts = tuple[tuple[str, ...], ...]

NOT_TEXT = ("span2_index", "idx")
"""Columns that hold no text: the place of WSC's pronoun, and the question of MultiRC's answer."""


def copa(columns: Columns) -> Texts:
    """Texts of COPA: (premise, "What was the cause? First: ... Second: ...")."""
    rows = zip(columns["question"], columns["choice1"], columns["choice2"], strict=True)
    asked = tuple(f"What was the {question}? First: {one} Second: {two}" for question, one, two in rows)
    return tuple(columns["premise"]), asked


def wic(columns: Columns) -> Texts:
    """Texts of WiC: ("word: first sentence", second sentence)."""
    rows = zip(columns["word"], columns["sentence1"], strict=True)
    return tuple(f"{word}: {sentence}" for word, sentence in rows), tuple(columns["sentence2"])


def multirc(columns: Columns) -> Texts:
    """Texts of MultiRC: (paragraph, "question answer")."""
    rows = zip(columns["question"], columns["answer"], strict=True)
    return tuple(columns["paragraph"]), tuple(f"{question} {answer}" for question, answer in rows)


def wsc(columns: Columns) -> Texts:
    """Texts of WSC: (text with *pronoun*, noun phrase)."""
    rows = zip(columns["text"], columns["span2_text"], columns["span2_index"], strict=True)
    return tuple(mark(*row) for row in rows), tuple(columns["span1_text"])


def mark(text: str, span: str, index: int) -> str:
    """The text with asterisks around the span, which starts at word number `index`, counted from 0.

    Raises DataError if the span lies outside the text.

    >>> mark("Ann saw her , she said", "she", 4)
    'Ann saw her , *she* said'
    """
    words = text.split(" ")
    end = index + max(1, len(span.split()))
    if not 0 <= index < end <= len(words):
        raise DataError(f"the span {span!r} at word {index} lies outside its text {text!r:.60}")
    return " ".join((*words[:index], f"*{' '.join(words[index:end])}*", *words[end:]))


def groups(name: str, columns: Columns) -> tuple[str, ...] | None:
    """The question that each answer belongs to, for MultiRC; None for any other task."""
    if name != "multirc":
        return None
    return tuple(f"{idx['paragraph']}/{idx['question']}" for idx in columns["idx"])


COMPOSE: dict[str, Callable[[Columns], Texts]] = {"copa": copa, "wic": wic, "multirc": multirc, "wsc": wsc}
"""Functions that compose the texts, by name of task."""
