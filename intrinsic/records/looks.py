"""First looks of guards, marked in records that were written before they were."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def mark_first_looks(record: dict[str, Any], seeds: tuple[str, ...], places: tuple[str, ...]) -> None:
    """Set `first_look`, in place, in the points or rows of a record that do not have it.

    The index of a first look's seed is one that no other trial has: the number of seeds at one dimension.
    """
    index, rows = value_at(record, seeds), value_at(record, places)
    for row in rows if isinstance(rows, list | tuple) else ():
        if isinstance(row, dict) and "first_look" not in row:
            row["first_look"] = row.get("seed") == index and row.get("role", "guard") in ("guard", "search")


def value_at(tree: Any, path: Iterable[str]) -> Any:
    for name in path:
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree
