"""Set a finished run beside the numbers that its paper published.

    python experiments/published/check.py RUN_DIR                     # the page is read off the run's own command
    python experiments/published/check.py RUN_DIR --page he2022-sst2

A comparison: the median over seeds of every method, the published score, and their difference in units of the joint
spread sqrt(theirs^2 + ours^2 + rounding^2), where a spread is what the paper prints behind +-, or our sample standard
deviation over seeds, and rounding is that of a number printed to 0.1. Up to 2 units agree. A measurement: the published
d90 agrees if it lies in our interval. Rows that expected.csv marks `shown` get no verdict: see their remark.

Exit status 0, or 1 if something disagrees, or 2 if there is nothing to check.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import yaml
from intrinsic_cli.resolve import resolve

from intrinsic.comparison import parse_contenders
from intrinsic.errors import IntrinsicError, SpecError, StoreError
from intrinsic.records import CompareResult, CompareRow, MeasureResult
from intrinsic.report import words
from intrinsic.report.comparison.tables import name as shown_name
from intrinsic.spec import Contender, MeasureSpec
from intrinsic.store import read_comparison, read_measurement

HERE = Path(__file__).resolve().parent
AGREE = 2.0
"""Joint spreads."""
ROUNDING = 0.1 / math.sqrt(12)
"""Standard deviation of what printing a percentage to one decimal takes away."""
LOCAL = ("task.data_dir", "model.revision")
"""Settings in which a run may differ from its page without a word."""
HEADER = ("method", "parameters", "ours", "published", "ours", "n", "difference", "joint spreads", "verdict")


@dataclass(frozen=True)
class Expected:
    """A line of expected.csv."""

    table: str
    model: str
    task: str
    method: str
    """As the paper calls it."""
    contender: str
    """As a comparison's table calls it; said or did for a d90."""
    parameters: str
    quantity: str
    """Metric, or d90."""
    score: float
    """In per cent, or a dimension."""
    spread: float | None
    use: str
    """verdict, or shown: printed without one."""
    remark: str
    source: str


def expected() -> list[Expected]:
    """All of expected.csv."""
    with (HERE / "expected.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    texts = ("table", "model", "task", "method", "contender", "parameters", "quantity", "use", "remark", "source")
    return [
        Expected(
            **{key: row[key] for key in texts},
            score=float(row["score"]),
            spread=float(row["spread"]) if row["spread"] else None,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class Page:
    """One YAML of this folder."""

    name: str
    table: str
    base: MeasureSpec
    contenders: tuple[Contender, ...]
    """Empty for a measurement."""

    @property
    def expected(self) -> list[Expected]:
        model = self.base.model.name.rpartition("/")[2]
        return [e for e in expected() if (e.table, e.model, e.task) == (self.table, model, self.base.task.name)]


def read_page(name: str) -> Page:
    """Raises SpecError if there is none of that name."""
    path = HERE / f"{name}.yaml"
    if not path.is_file():
        there = ", ".join(sorted(page.stem for page in HERE.glob("*.yaml")))
        raise SpecError(f"there is no page {name!r}: give --page one of {there}")
    tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings = dict(tree["spec"])
    methods = settings.pop("methods", None)
    base, _ = resolve(settings, None, "text")
    return Page(name, tree["table"], base, parse_contenders(",".join(methods), base) if methods else ())


def page_of(command: str, given: str | None) -> Page:
    """The page named by the user, else by the run's command."""
    found = re.search(r"published/([\w.-]+)\.yaml", command)
    if given is None and found is None:
        raise SpecError(f"the run's command ({command}) names no page of {HERE.name}/: give --page")
    return read_page(given or str(found and found[1]))


@dataclass(frozen=True)
class Line:
    """A published score and ours."""

    expected: Expected
    row: CompareRow | None

    @property
    def ours(self) -> float | None:
        """Median over seeds, in per cent."""
        return 100 * median(self.row.scores) if self.row is not None and self.row.scores else None

    @property
    def difference(self) -> float | None:
        return None if self.ours is None else self.ours - self.expected.score

    @property
    def units(self) -> float | None:
        """The difference in joint spreads; None where neither side has a spread."""
        std = None if self.row is None or self.row.std is None else 100 * self.row.std
        known = [spread for spread in (self.expected.spread, std) if spread is not None]
        return self.difference / math.hypot(*known, ROUNDING) if known and self.difference is not None else None

    @property
    def verdict(self) -> str:
        if self.row is None:
            return "not run"
        if self.ours is None:
            return "no trial gave a score"
        if self.expected.use != "verdict":
            return words.DASH
        if self.units is None:
            return "no spread"
        return "agree" if abs(self.units) <= AGREE else "disagree"

    @property
    def cells(self) -> tuple[str, ...]:
        row, std = self.row, None if self.row is None else self.row.std
        spread = "" if self.expected.spread is None else f" ± {self.expected.spread:.1f}"
        return (
            self.expected.method,
            self.expected.parameters,
            words.DASH if row is None else _count(row),
            f"{self.expected.score:.1f}{spread}",
            words.DASH if self.ours is None else f"{self.ours:.1f}" + ("" if std is None else f" ± {100 * std:.1f}"),
            "0" if row is None else str(len(row.scores)),
            words.DASH if self.difference is None else f"{self.difference:+.1f}",
            words.DASH if self.units is None else f"{self.units:+.1f}",
            self.verdict,
        )


def _count(row: CompareRow) -> str:
    """What a method stores besides the head, as papers count it; all of it for full fine-tuning."""
    if row.parameters_stored is None:
        return words.DASH
    head = 0 if row.method.name == "full" else row.head_parameters or 0
    return f"{(row.parameters_stored - head) / 1e6:.2f}M"


def lines(page: Page, record: CompareResult) -> list[Line]:
    """Raises SpecError where the run is scored by another metric than the paper."""
    rows = {shown_name(row.label, row.method.name, row.size): row for row in record.result.rows}
    for line in page.expected:
        if line.quantity != record.result.metric:
            raise SpecError(f"{page.name} publishes {line.quantity}, but the run's scores are {record.result.metric}")
    return [Line(line, rows.get(line.contender)) for line in page.expected]


def comparison(page: Page, record: CompareResult) -> tuple[list[str], bool]:
    """What to print, and whether a score disagrees."""
    found = lines(page, record)
    told = [f"{page.name}: {page.expected[0].source}", "", _markdown(HEADER), "|---" + "|---:" * 7 + "|---|"]
    told += [_markdown(line.cells) for line in found]
    told += ["", *(f"- {line.expected.method}: {line.expected.remark}" for line in found if line.expected.remark)]
    told += [f"- settings differ: {change}" for change in changes(page, record)]
    verdicts = [line.verdict for line in found]
    return [*told, "", _tally(verdicts)], "disagree" in verdicts


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _tally(verdicts: Sequence[str]) -> str:
    judged = [verdict for verdict in verdicts if verdict in ("agree", "disagree")]
    return f"{judged.count('agree')} of {len(judged)} agree; {len(verdicts) - len(judged)} without a verdict"


def measurement(page: Page, record: MeasureResult) -> tuple[list[str], bool]:
    """What to print, and whether the published d90 lies outside our interval."""
    kind = "said" if record.run.spec.structure_aware else "did"
    line = next((e for e in page.expected if e.contender == kind and e.quantity == "d90"), None)
    if line is None:
        raise SpecError(f"{page.name} publishes no d90 by {kind.upper()}: give --page another page")
    search = record.result.search
    verdict = f"no verdict, the search ended as {search.status}"
    if search.status == "found":
        low, high = search.interval
        verdict = "agree" if (low or 0) <= line.score <= (high or math.inf) else "disagree"
    ours = words.DASH if search.d is None else f"{search.d} {words.interval(search)}"
    told = [f"{page.name}: {line.source}", "", f"{line.method}: published d90 {line.score:g}, ours {ours}: {verdict}"]
    told += [f"- {line.remark}"] if line.remark else []
    told += [f"- settings differ: {change}" for change in changes(page, record)]
    return told, verdict == "disagree"


def changes(page: Page, record: CompareResult | MeasureResult) -> Iterator[str]:
    """Settings of the run that are not the page's."""
    spec = record.run.spec
    if isinstance(spec, MeasureSpec):
        yield from _settings(page.base, spec, (*LOCAL, "structure_aware"))  # SAID and DID are both on one page
        return
    yield from _settings(page.base, spec.base, LOCAL)
    tried = {contender.label: contender for contender in spec.contenders}
    for contender in page.contenders:
        other = tried.get(contender.label, contender)
        for key in ("sizes", "rates"):
            if getattr(other, key) != getattr(contender, key):
                yield f"{key} of {contender.label} {getattr(contender, key)} -> {getattr(other, key)}"


def _settings(asked: MeasureSpec, run: MeasureSpec, free: Sequence[str]) -> Iterator[str]:
    ours = dict(_flat(run.model_dump()))
    for key, value in _flat(asked.model_dump()):
        if value != ours[key] and key not in free:
            yield f"{key} {value} -> {ours[key]}"


def _flat(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def check(folder: Path, page: str | None = None) -> tuple[list[str], bool]:
    """All of it, for the newest comparison and the newest measurement in a folder, whichever are there."""
    told: list[str] = []
    disagree = False
    if (folder / "comparison.json").is_file():
        compared = read_comparison(folder)
        text, apart = comparison(page_of(compared.run.command, page), compared)
        told, disagree = [*told, *text], disagree or apart
    if (folder / "result.json").is_file():
        measured = read_measurement(folder)
        text, apart = measurement(page_of(measured.run.command, page), measured)
        told, disagree = [*told, *text], disagree or apart
    if not told:
        raise StoreError(f"{folder} holds no comparison.json and no result.json: run a page of {HERE.name}/ first")
    return told, disagree


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--page", metavar="NAME", help="a YAML of this folder, without .yaml")
    given = parser.parse_args(arguments)
    try:
        told, disagree = check(given.run_dir, given.page)
    except IntrinsicError as error:
        print(f"check: {error}", file=sys.stderr)
        return 2
    print("\n".join(told))
    return int(disagree)


if __name__ == "__main__":
    sys.exit(main())
