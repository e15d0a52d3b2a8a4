"""Readers of tables: csv, tsv, jsonl and parquet files into columns. A damaged file raises one DataError.

csv follows RFC 4180 (quotes, newlines inside quotes). tsv is read with quoting off and one example per line, as GLUE's
files and the IANA's text/tab-separated-values require. Text must be UTF-8; a byte-order mark is dropped. A line with
too few or too many fields is an error, never padded.
"""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from intrinsic.errors import DataError

Table = dict[str, list[Any]]
"""Values by name of column; all columns have the same length, and None is a missing value."""

_CSV_LOCK = threading.Lock()


def read_text(path: Path) -> str:
    """The file's text, without a byte-order mark. Raises DataError if it is absent, empty or not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror or error}): check its rights and the disk") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; "
            "convert it first, for instance with iconv -f latin1 -t utf-8"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty; expected a table of examples")
    return text


def split_lines(text: str) -> list[str]:
    """Lines ended by \\n or \\r\\n and by nothing else (str.splitlines also cuts at U+2028 and others)."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def read_tsv(path: Path) -> Table:
    """Table of a tab-separated file without quoting; the first line is the header. Raises DataError."""
    header, *rows = tsv_rows(path)
    return _columns(path, header, list(enumerate(rows, 2)), " (tsv is read without quoting)")


def read_tsv_dropping(path: Path) -> tuple[Table, int]:
    """Table as :func:`read_tsv` gives it, without the lines that have too few fields, and the number of these lines."""
    header, *rows = tsv_rows(path)
    whole = [(number, row) for number, row in enumerate(rows, 2) if len(row) >= len(header)]
    return _columns(path, header, whole, " (tsv is read without quoting)"), len(rows) - len(whole)


def tsv_rows(path: Path) -> list[list[str]]:
    """The fields of every line, cut at tabs."""
    return [line.split("\t") for line in split_lines(read_text(path))]


def read_csv(path: Path) -> Table:
    """Table of a comma-separated file with RFC 4180 quoting; the first record is the header, blank lines are skipped.

    Raises DataError.
    """
    numbered: list[tuple[int, list[str]]] = []
    with _CSV_LOCK:  # the field limit is one global of the csv module
        before = csv.field_size_limit(2**31 - 1)
        try:
            reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
            for row in reader:
                if row:
                    numbered.append((reader.line_num, row))
        except csv.Error as error:
            raise DataError(
                f"{path}, line {reader.line_num}: not valid csv ({error}); close every quote, or save it as tsv, "
                "which has none"
            ) from None
        finally:
            csv.field_size_limit(before)
    return _columns(path, numbered[0][1], numbered[1:], "")


def read_jsonl(path: Path) -> Table:
    """Table of a file with one JSON object per line; a key that a line lacks is a missing value.

    Blank lines are skipped. Raises DataError.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(split_lines(read_text(path)), 1):
        if line.strip():
            rows.append(_json_object(path, number, line))
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _json_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: not valid JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {number}: expected a JSON object, got {type(row).__name__}")
    return row


def read_parquet(path: Path) -> Table:
    """Table of an Apache Parquet file. Raises DataError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path).read()
        columns: Table = {
            name: values.to_pylist() for name, values in zip(table.column_names, table.columns, strict=True)
        }
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as parquet: {str(error).partition(chr(10))[0]}") from None
    if table.num_rows == 0:
        raise DataError(f"{path} is empty; expected a table of examples")
    return columns


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
}
"""Readers of a file, by its ending in lower case."""


def file_type(path: Path) -> str:
    """The file's ending in lower case: a key of READERS if the file is a table."""
    return path.suffix.lower()


def read_tables(paths: Sequence[Path]) -> Table:
    """Table of one split's files, one below the other. Raises DataError if their columns differ."""
    whole: Table = {}
    for path in paths:
        table = READERS[file_type(path)](path)
        if whole and set(table) != set(whole):
            raise DataError(f"{path} has the columns {', '.join(table)}; expected {', '.join(whole)} as in {paths[0]}")
        for name, values in table.items():
            whole.setdefault(name, []).extend(values)
    return whole


def column(table: Table, name: str, where: str) -> list[Any]:
    """The named column. Raises DataError, which lists the columns there are, if it is absent."""
    if name not in table:
        raise DataError(f"{where} has no column {name!r}; its columns are: {', '.join(map(str, table))}")
    return table[name]


def texts(values: Sequence[Any], name: str, where: str) -> tuple[str, ...]:
    """The values, checked to be strings that a tokenizer can take. Raises DataError for the first that is not."""
    for row, value in enumerate(values, 1):
        if value is None:
            raise DataError(f"{where}, example {row}: the text {name!r} is missing")
        if not isinstance(value, str):
            raise DataError(
                f"{where}, example {row}: expected text in {name!r}, got {type(value).__name__} {value!r:.40}"
            )
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise DataError(f"{where}, example {row}: {name!r} holds a lone surrogate, which is not text")
    return tuple(values)


def _columns(path: Path, header: Sequence[str], numbered: Sequence[tuple[int, Sequence[str]]], hint: str) -> Table:
    if len(set(header)) < len(header):
        raise DataError(f"{path} names a column twice in its header: {', '.join(header)}")
    for number, row in numbered:
        if len(row) != len(header):
            raise DataError(f"{path}, line {number}: {len(row)} fields, expected {len(header)}{hint}")
    if not numbered:
        raise DataError(f"{path} has a header but no examples; expected a line for each")
    return {name: [row[i] for _, row in numbered] for i, name in enumerate(header)}
