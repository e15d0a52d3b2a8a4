"""Write what a measurement or a comparison gave into an experiment's file, its record and figure beside the others.

    python experiments/record.py RUN_DIR NAME [--measure-id ID] [--claim TEXT] [--source TEXT] [--expected KEY=VALUE]
    python experiments/record.py RUN_DIR NAME --compare [...]
    python experiments/again.py [NAME ...]    # figures and tables of these records, or all, by the program as it is

The experiment's file, experiments/NAME.yaml, holds the claim, its source and the published numbers (kept as they
are unless given again), the complete spec, the command that runs it, and the result. The record itself goes to
experiments/results/NAME.json, the figure and the numbers behind it to figures/NAME.{png,pdf,csv}, and the table in
experiments/README.md is made again from all pages. A comparison's tables go to experiments/NAME.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from intrinsic.comparison import written
from intrinsic.records import CompareResult, MeasureResult
from intrinsic.report import comparison, contents, words
from intrinsic.report.comparison.tables import name as row_name
from intrinsic.spec import MeasureSpec
from intrinsic.store import read_comparison, read_measurement

HERE = Path(__file__).parent
FIGURES = HERE.parent / "figures"
MEASUREMENTS, COMPARISONS = "table", "comparisons"
"""The tables of experiments/README.md, between the marks that bear their names."""
COMPARED = """
| experiment | model | task | methods | seeds | full | cost | |
|---|---|---|---:|---:|---:|---:|---|"""
HEADER = """
| experiment | model | task | method | baseline | target | published d90 | d90 [95 % interval] | D | cost | |
|---|---|---|---|---:|---:|---:|---:|---:|---:|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("--measure-id", metavar="ID", help="an older record of RUN_DIR, of a comparison too")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--claim")
    parser.add_argument("--source")
    parser.add_argument("--remark")
    parser.add_argument("--expected", nargs="*", default=None, metavar="KEY=VALUE")
    given = parser.parse_args()
    read = read_comparison if given.compare else read_measurement
    record: MeasureResult | CompareResult = read(given.run_dir, given.measure_id)
    path = HERE / f"{given.name}.yaml"
    before = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump(page(record, given, before), sort_keys=False, allow_unicode=True, width=100))
    (HERE / "results").mkdir(exist_ok=True)
    (HERE / "results" / f"{given.name}.json").write_text(record.model_dump_json(indent=1) + "\n")
    write_report(record, given.name)
    write_tables()
    print(f"wrote {path}, experiments/results/{given.name}.json and figures/{given.name}.*")


def page(record: MeasureResult | CompareResult, given: argparse.Namespace, before: dict[str, Any]) -> dict[str, Any]:
    expected = {k: yaml.safe_load(v) for k, v in (pair.split("=", 1) for pair in given.expected or ())}
    texts = {key: getattr(given, key) or before.get(key) for key in ("claim", "source", "remark")}
    compared = isinstance(record, CompareResult)
    return {
        **{key: text for key, text in texts.items() if text},
        "expected": expected or before.get("expected") or {},
        "command": command(record, given.name),
        "result": result_of_comparison(record) if compared else result(record),
        "spec": {**own_settings(record), **settings(base(record))} if compared else settings(base(record)),
    }


def base(record: MeasureResult | CompareResult) -> MeasureSpec:
    return record.run.spec.base if isinstance(record, CompareResult) else record.run.spec


def settings(spec: MeasureSpec) -> dict[str, Any]:
    """As --config reads them; the data's folder is the user's."""
    return spec.model_dump(mode="json", exclude={"optim": {"learning_rate"}, "task": {"data_dir"}}, exclude_none=False)


def own_settings(record: CompareResult) -> dict[str, Any]:
    return {"methods": list(map(written, record.run.spec.contenders)), "at": record.run.spec.at}


def command(record: MeasureResult | CompareResult, name: str) -> str:
    folder = base(record).task.data_dir
    data = f" --data-dir {folder}" if folder else ""
    verb = "compare" if isinstance(record, CompareResult) else "measure"
    return f"intrinsic {verb} --config experiments/{name}.yaml{data} --output-dir runs/{name}"


def result_of_comparison(record: CompareResult) -> dict[str, Any]:
    found, meta = record.result, record.meta
    return {
        "compare_id": record.run.compare_id,
        "scores": {
            row_name(row.label, row.method.name, row.size): [
                None if row.mean is None else round(row.mean, 5),
                None if row.std is None else round(row.std, 5),
                row.parameters_trained,
            ]
            for row in found.rows
        },
        "target": found.target,
        "smallest": {row.label: [row.search.status, row.search.d] for row in found.smallest},
        "trials": found.cost.trials,
        "seconds": round(found.cost.seconds),
        "device": f"{meta.device}, {meta.threads} thread(s)",
        "started": record.run.started,
        "warnings": list(found.warnings),
    }


def result(record: MeasureResult) -> dict[str, Any]:
    found, meta = record.result, record.meta
    return {
        "measure_id": record.run.measure_id,
        "status": found.search.status,
        "d90": found.d90,
        "interval": [None if end is None else round(end, 1) for end in found.search.interval],
        "share_of_D": found.share,
        "full_dim": found.full_dim,
        "baseline": None if found.baseline is None else round(found.baseline.mean, 5),
        "target": found.target,
        "trials": found.cost.trials,
        "seconds": round(found.cost.seconds),
        "device": f"{meta.device}, {meta.threads} thread(s)",
        "started": record.run.started,
        "warnings": list(found.warnings),
    }


def write_report(record: MeasureResult | CompareResult, name: str) -> None:
    """The figure, the numbers behind it and a comparison's tables."""
    FIGURES.mkdir(exist_ok=True)
    files = comparison.contents(record) if isinstance(record, CompareResult) else contents(record)
    if "comparison.md" in files:
        tables = str(files["comparison.md"]).replace("(pareto.png)", f"(../figures/{name}.png)")
        (HERE / f"{name}.md").write_text(tables)
        files["pareto.csv"] = files["comparison.csv"]
    for file, content in files.items():
        if file.startswith(("curve.", "pareto.")):
            data = content if isinstance(content, bytes) else content.encode()
            (FIGURES / f"{name}{Path(file).suffix}").write_bytes(data)


def write_tables() -> None:
    """Replace the tables between their marks in experiments/README.md."""
    pages = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(HERE.glob("*.yaml"))}
    compared = {name for name, page in pages.items() if "compare_id" in page.get("result", {})}
    measured = {name for name, page in pages.items() if "measure_id" in page.get("result", {})}
    write_table(MEASUREMENTS, [HEADER, *(row(name, pages[name]) for name in sorted(measured))])
    write_table(COMPARISONS, [COMPARED, *(compared_row(name, pages[name]) for name in sorted(compared))])


def write_table(mark: str, lines: list[str]) -> None:
    readme = HERE / "README.md"
    begin, end = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    head, rest = readme.read_text().split(begin)
    readme.write_text("\n".join([head + begin, *lines, end]) + rest.split(end)[1])


def compared_row(name: str, page: dict[str, Any]) -> str:
    found, spec = page["result"], page["spec"]
    layers = f", {spec['model']['layers']} layer(s)" if spec["model"]["layers"] else ""
    at = "" if spec["at"] is None else f", smallest sizes at {100 * spec['at']:g} %"
    minutes = f"{found['trials']} trials, {found['seconds'] / 60:.0f} min"
    full = found["scores"]["full"][0]
    cells = [f"[{name}]({name}.yaml)", f"{spec['model']['name']}{layers}", spec["task"]["name"]]
    cells += [f"{len(spec['methods'])}{at}", str(spec["search"]["seeds"]), f"{full:.4f}", minutes]
    return f"| {' | '.join([*cells, f'[tables]({name}.md), [figure](../figures/{name}.png)'])} |"


def row(name: str, page: dict[str, Any]) -> str:
    found, spec = page["result"], page["spec"]
    record = MeasureResult.model_validate_json((HERE / "results" / f"{name}.json").read_text())
    outcome = record.result
    d90 = f"**{words.dimension_cell(outcome)}** {words.interval_cell(outcome)}"
    published = "–" if page["expected"].get("d90") is None else f"{page['expected']['d90']:,}"
    layers = f", {spec['model']['layers']} layer(s)" if spec["model"]["layers"] else ""
    method = f"{words.method(record.run.spec)}, {spec['projection']}"
    minutes = f"{found['trials']} trials, {found['seconds'] / 60:.0f} min"
    cells = [f"[{name}]({name}.yaml)", f"{spec['model']['name']}{layers}", spec["task"]["name"], method]
    cells += [f"{found['baseline']:.4f}", f"{found['target']:.4f}", published, d90, f"{found['full_dim']:,}", minutes]
    return f"| {' | '.join([*cells, f'[figure](../figures/{name}.png)'])} |"


if __name__ == "__main__":
    main()
