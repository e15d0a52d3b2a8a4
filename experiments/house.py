"""The code described in numbers, one column a revision: where facts stand, what is written twice, how long things are.

    python experiments/house.py b66b1d5 HEAD

prints the table of experiments/house.md for revisions of this repository (`.`: the working tree). Nothing of the
revisions is run: their files are read. What is counted:

files that know a kind    files of intrinsic/ and cli/ in which the name of one example of a kind stands, as a word or a
                          string: what adding another one like it would touch
LoRA's facts              lines of intrinsic/ and cli/ that hold `lora` in quotes, or its options' class; those that
                          hold `rank`, the name of its size, in quotes
compares a problem        modules that compare something with the name of a problem
like code                 pairs of places, in intrinsic/ and cli/, that share four or more lines to the letter, apart
                          from imports, comments, blank lines and lone brackets
lengths                   of functions, without their docstrings, and of files, in lines
attribute docstrings      string literals under a field or a constant; those that open with a preposition
"""

from __future__ import annotations

import ast
import io
import re
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = {
    "projection (hashed)": r"\"hashed\"|HashedProjection",
    "method (vera)": r"\"vera\"|VeraOptions|VeraConfig",
    "model (lenet)": r"\"lenet\"|\blenet\(",
    "task (wnli)": r"\"wnli\"",
    "metric (spearman)": r"\"spearman\"|def spearman",
    "problem (regression)": r"\"regression\"",
    "executor (worker processes)": r"\bWorkerPool\b",
}
LORA = re.compile(r"[\"'.:]lora[\"']|\bLoraOptions\b|\bLoraConfig\b")
RANK = re.compile(r"[\"']rank[\"']")
PROBLEMS = {"classification", "regression"}
PREPOSITIONS_TEXT = """
about above across after against along among at before behind below beneath beside between
beyond by despite down during except for from in inside into like near of off on onto out
outside over per since through throughout till to toward under until unto up upon via with
within without
"""
PREPOSITIONS = frozenset(PREPOSITIONS_TEXT.split())
WINDOW = 4


def tree_of(revision: str, folder: Path) -> Path:
    """The files of a revision, put into a folder; `.` is the working tree, as it is."""
    if revision == ".":
        return ROOT
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    return folder


def sources(tree: Path) -> dict[Path, str]:
    """The Python files of the library and the command line."""
    return {p: p.read_text() for room in ("intrinsic", "cli") for p in sorted((tree / room).rglob("*.py"))}


def describe(tree: Path) -> Iterator[tuple[str, str]]:
    """The rows of the table: what is counted, and its value."""
    files = sources(tree)
    parsed = {path: ast.parse(text) for path, text in files.items()}
    for kind, pattern in EXAMPLES.items():
        yield f"files that know a {kind}", str(sum(bool(re.search(pattern, text)) for text in files.values()))
    lines = [(path, line) for path, text in files.items() for line in text.splitlines() if LORA.search(line)]
    yield "LoRA's facts: lines in files", f"{len(lines)} in {len({path for path, _ in lines})}"
    ranks = [(path, line) for path, text in files.items() for line in text.splitlines() if RANK.search(line)]
    yield "the name of LoRA's size: lines in files", f"{len(ranks)} in {len({path for path, _ in ranks})}"
    yield "modules that compare a problem's name", str(sum(map(compares_a_problem, parsed.values())))
    yield f"pairs of like code, {WINDOW} lines or more", str(len(like_code(files)))
    functions = [length for tree_ in parsed.values() for length in function_lengths(tree_)]
    yield "functions: number, median, p90, longest", spread(functions)
    yield "files: number, median, p90, longest", spread([text.count("\n") for text in files.values()])
    docs = [doc for tree_ in parsed.values() for doc in attribute_docstrings(tree_)]
    yield "attribute docstrings", str(len(docs))
    opened = [doc for doc in docs if re.split(r"\W", doc.strip(), maxsplit=1)[0].lower() in PREPOSITIONS]
    yield "of them opened with a preposition", str(len(opened))


def compares_a_problem(tree: ast.Module) -> bool:
    """Whether a comparison in the module has a problem's name on one of its sides."""
    sides = (
        side for node in ast.walk(tree) if isinstance(node, ast.Compare) for side in (node.left, *node.comparators)
    )
    return any(isinstance(side, ast.Constant) and side.value in PROBLEMS for side in sides)


def like_code(files: dict[Path, str]) -> set[tuple[Path, Path]]:
    """Pairs of files, or a file and itself, with equal runs of WINDOW lines at two places."""
    places: dict[tuple[str, ...], set[tuple[Path, int]]] = defaultdict(set)
    for path, text in files.items():
        lines = [line.strip() for line in text.splitlines()]
        kept = [line for line in lines if len(line) > 3 and not re.match(r"#|from |import |\"\"\"", line)]
        for i in range(len(kept) - WINDOW + 1):
            places[tuple(kept[i : i + WINDOW])].add((path, i))
    return {
        (one[0], other[0])
        for found in places.values()
        for one, other in combinations(sorted(found), 2)
        if one[0] != other[0] or abs(one[1] - other[1]) >= WINDOW
    }


def function_lengths(tree: ast.Module) -> Iterator[int]:
    """Lines of every function, its docstring left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            doc = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            told = (first.end_lineno or 0) - first.lineno + 1 if doc else 0
            yield (node.end_lineno or 0) - node.lineno + 1 - told


def attribute_docstrings(tree: ast.Module) -> Iterator[str]:
    """The string literals that stand under an assignment."""
    for node in ast.walk(tree):
        body = getattr(node, "body", [])
        for before, after in pairwise(body) if isinstance(body, list) else ():
            held = isinstance(before, ast.AnnAssign | ast.Assign) and isinstance(after, ast.Expr)
            if held and isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
                yield after.value.value


def spread(values: list[int]) -> str:
    """Number, median, 90th percentile and largest."""
    ordered = sorted(values)
    return f"{len(values)}, {statistics.median(values):g}, {ordered[int(0.9 * len(ordered))]}, {ordered[-1]}"


def main(revisions: list[str]) -> None:
    columns = {}
    for revision in revisions:
        with tempfile.TemporaryDirectory() as folder:
            columns[revision] = dict(describe(tree_of(revision, Path(folder))))
    print(f"| | {' | '.join(revisions)} |")
    print(f"|---|{'---:|' * len(revisions)}")
    for name in next(iter(columns.values())):
        print(f"| {name} | {' | '.join(column[name] for column in columns.values())} |")


if __name__ == "__main__":
    main(sys.argv[1:] or ["."])
