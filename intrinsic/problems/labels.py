"""Conversion of labels as files hold them to int64 ids or float32 numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from intrinsic.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 3.4028234663852886e38  # of float32
_TRAILING_ZEROS = re.compile(r"(?<=\d)\.0+$")


def named_ids(values: Sequence[Any], names: Sequence[str], where: str) -> NDArray[np.int64]:
    """Ids int64 [n] of labels whose classes are known: a number is an id, a text a class name or else an id.

    Raises DataError for a missing or unknown label, and for -1, with which benchmarks mark labels they keep hidden.
    """
    by_id = {str(i): i for i in range(len(names))}
    by_name = by_id | {name: i for i, name in enumerate(names)}  # Yelp's names are "1" and "2"
    import numpy as np

    ids = np.empty(len(values), dtype=np.int64)
    for row, value in enumerate(values):
        text = label_text(value, where, row + 1)
        lookup = by_name if isinstance(value, str | bool) else by_id
        if text == "-1":
            raise DataError(f"{where} keeps its labels hidden (label -1); choose a split that has labels")
        if text not in lookup:
            raise DataError(f"{where}, example {row + 1}: unknown label {text!r}; expected one of {', '.join(names)}")
        ids[row] = lookup[text]
    return ids


def numbers(values: Sequence[Any], where: str) -> NDArray[np.float32]:
    """Real-valued labels as float32 [n], unscaled. Raises DataError for one that is missing or not a finite number."""
    import numpy as np

    made = np.empty(len(values), dtype=np.float32)
    for row, value in enumerate(values):
        text = label_text(value, where, row + 1)
        try:
            number = float(text)
        except ValueError:
            raise DataError(f"{where}, example {row + 1}: expected a number as label, got {text!r}") from None
        if not abs(number) <= _LARGEST:
            raise DataError(f"{where}, example {row + 1}: the label {text!r} is not a finite number")
        made[row] = number
    return made


def ids_by_name(values: Sequence[Any], names: Sequence[str], where: str) -> NDArray[np.int64]:
    """Ids int64 [n] of labels that are class names, numbers too. Raises DataError for a missing or unknown label."""
    import numpy as np

    lookup = {name: i for i, name in enumerate(names)}
    found = [label_text(value, where, row) for row, value in enumerate(values, 1)]
    unknown = sorted(set(found) - set(lookup))
    if unknown:
        raise DataError(f"{where} has the label {unknown[0]!r}, which no training example has ({', '.join(names)})")
    return np.array([lookup[text] for text in found], dtype=np.int64)


def class_names(values: Sequence[Any], where: str) -> tuple[str, ...]:
    """The classes that occur in the values, sorted as numbers if all are integers, else as strings.

    Raises DataError for a missing label, for real numbers, and for fewer than two classes.
    """
    found = {label_text(value, where, row) for row, value in enumerate(values, 1)}
    if any(_is_number(text) and not _is_integer(text) for text in found) and all(map(_is_number, found)):
        real = min(text for text in found if not _is_integer(text))
        raise DataError(f"{where}: the labels are real numbers, such as {real!r}; use --regression for them")
    if not found:
        raise DataError(f"{where}: there are no labels; expected at least two classes")
    if len(found) < 2:
        raise DataError(f"{where}: all {len(values)} labels are {found.pop()!r}; expected at least two classes")
    if all(map(_is_integer, found)):
        return tuple(sorted(found, key=lambda text: (int(text), text)))  # "1" and "01" are two classes
    return tuple(sorted(found))


def label_text(value: Any, where: str, row: int) -> str:
    """Text of a label, the same for equal labels: 1, 1.0 and "1" give "1"; true gives "True".

    Raises DataError for a label that is missing, NaN, or neither text nor a number.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        raise DataError(f"{where}, example {row}: the label is missing; give it one, or leave the example out")
    if str(value).strip().lower() == "nan":
        raise DataError(f"{where}, example {row}: the label is NaN; give it one, or leave the example out")
    if isinstance(value, str | int | float):
        return _TRAILING_ZEROS.sub("", str(value).strip())
    raise DataError(f"{where}, example {row}: expected a label, got {type(value).__name__} {value!r:.40}")


def _is_integer(text: str) -> bool:
    return len(text) < 20 and text.isascii() and text.removeprefix("-").isdigit()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
