"""SuperGLUE's tasks that are not a plain text or pair: how their fields become at most two texts.

COPA is posed as one sequence with two classes, not as two sequences ranked by one score as its authors
do; WSC marks the pronoun with asterisks; MultiRC judges every answer alone and groups them by
question for `exact_match`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from intrinsic.errors import DataError

Columns = Mapping[str, Sequence[Any]]
Texts = tuple[tuple[str, ...], ...]

NOT_TEXT = ("span2_index", "idx")
"""Columns that are read for what they say about the example."""


def copa(columns: Columns) -> Texts:
    """(premise, "What was the cause? First: ... Second: ...")"""
    rows = zip(columns["question"], columns["choice1"], columns["choice2"], strict=True)
    asked = tuple(f"What was the {question}? First: {one} Second: {two}" for question, one, two in rows)
    return tuple(columns["premise"]), asked


def wic(columns: Columns) -> Texts:
    """("word: first sentence", second sentence)"""
    rows = zip(columns["word"], columns["sentence1"], strict=True)
    return tuple(f"{word}: {sentence}" for word, sentence in rows), tuple(columns["sentence2"])


def multirc(columns: Columns) -> Texts:
    """(paragraph, "question answer")"""
    rows = zip(columns["question"], columns["answer"], strict=True)
    return tuple(columns["paragraph"]), tuple(f"{question} {answer}" for question, answer in rows)


def wsc(columns: Columns) -> Texts:
    """(text with *pronoun*, noun phrase)"""
    rows = zip(columns["text"], columns["span2_text"], columns["span2_index"], strict=True)
    return tuple(mark(*row) for row in rows), tuple(columns["span1_text"])


def mark(text: str, span: str, index: int) -> str:
    """Asterisks around the span, which starts at word number `index` of the text.

    >>> mark("Ann saw her , she said", "she", 4)
    'Ann saw her , *she* said'
    """
    words = text.split(" ")
    end = index + max(1, len(span.split()))
    if not 0 <= index < end <= len(words):
        raise DataError(f"the span {span!r} at word {index} lies outside its text {text!r:.60}")
    return " ".join((*words[:index], f"*{' '.join(words[index:end])}*", *words[end:]))


def groups(name: str, columns: Columns) -> tuple[str, ...] | None:
    """For MultiRC the question that an answer belongs to, else None."""
    if name != "multirc":
        return None
    return tuple(f"{idx['paragraph']}/{idx['question']}" for idx in columns["idx"])


COMPOSE: dict[str, Callable[[Columns], Texts]] = {"copa": copa, "wic": wic, "multirc": multirc, "wsc": wsc}
