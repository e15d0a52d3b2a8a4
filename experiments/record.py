"""Write what a measurement gave into an experiment's file, its record beside it and its figure into figures/.

    python experiments/record.py RUN_DIR NAME [--measure-id ID] [--claim TEXT] [--source TEXT] [--expected KEY=VALUE]

The experiment's file, experiments/NAME.yaml, holds the claim, its source and the published numbers (kept as they
are unless given again), the complete spec, the command that runs it, and the result. The record itself goes to
experiments/results/NAME.json, the figure and the numbers behind it to figures/NAME.{png,pdf,csv}, and the table in
experiments/README.md is made again from all pages.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import yaml

from intrinsic.records import MeasureResult
from intrinsic.report import contents, words
from intrinsic.store import read_measurement

HERE = Path(__file__).parent
FIGURES = HERE.parent / "figures"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADER = """
| experiment | model | task | method | baseline | target | published d90 | d90 [95 % interval] | D | cost | |
|---|---|---|---|---:|---:|---:|---:|---:|---:|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("--measure-id")
    parser.add_argument("--claim")
    parser.add_argument("--source")
    parser.add_argument("--remark")
    parser.add_argument("--expected", nargs="*", default=None, metavar="KEY=VALUE")
    given = parser.parse_args()
    record = read_measurement(given.run_dir, given.measure_id)
    path = HERE / f"{given.name}.yaml"
    before = yaml.safe_load(path.read_text()) if path.exists() else {}
    path.write_text(yaml.safe_dump(page(record, given, before), sort_keys=False, allow_unicode=True, width=100))
    write_files(record, given.name)
    write_table()
    print(f"wrote {path}, experiments/results/{given.name}.json and figures/{given.name}.*")


def page(record: MeasureResult, given: argparse.Namespace, before: dict[str, Any]) -> dict[str, Any]:
    expected = {k: yaml.safe_load(v) for k, v in (pair.split("=", 1) for pair in given.expected or ())}
    texts = {key: getattr(given, key) or before.get(key) for key in ("claim", "source", "remark")}
    return {
        **{key: text for key, text in texts.items() if text},
        "expected": expected or before.get("expected") or {},
        "command": command(record, given.name),
        "result": result(record),
        "spec": record.run.spec.model_dump(
            mode="json", exclude={"optim": {"learning_rate"}, "task": {"data_dir"}}, exclude_none=False
        ),
    }


def command(record: MeasureResult, name: str) -> str:
    folder = record.run.spec.task.data_dir
    data = f" --data-dir {folder}" if folder else ""
    return f"intrinsic measure --config experiments/{name}.yaml{data} --output-dir runs/{name}"


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


def write_files(record: MeasureResult, name: str) -> None:
    (HERE / "results").mkdir(exist_ok=True)
    FIGURES.mkdir(exist_ok=True)
    (HERE / "results" / f"{name}.json").write_text(record.model_dump_json(indent=1) + "\n")
    for file, content in contents(record).items():
        if file.startswith("curve."):
            data = content if isinstance(content, bytes) else content.encode()
            (FIGURES / f"{name}{Path(file).suffix}").write_bytes(data)


def write_table() -> None:
    """Replace the table between the two markers in experiments/README.md."""
    readme = HERE / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    rows = [row(path.stem, yaml.safe_load(path.read_text())) for path in sorted(HERE.glob("*.yaml"))]
    readme.write_text("\n".join([head + BEGIN, HEADER, *rows, END]) + rest.split(END)[1])


def row(name: str, page: dict[str, Any]) -> str:
    found, spec = page["result"], page["spec"]
    outcome = MeasureResult.model_validate_json((HERE / "results" / f"{name}.json").read_text()).result
    d90 = f"**{words.dimension_cell(outcome)}** {words.interval_cell(outcome)}"
    published = "–" if page["expected"].get("d90") is None else f"{page['expected']['d90']:,}"
    layers = f", {spec['model']['layers']} layer(s)" if spec["model"]["layers"] else ""
    method = f"{'SAID' if spec['structure_aware'] else 'DID'}, {spec['projection']}"
    minutes = f"{found['trials']} trials, {found['seconds'] / 60:.0f} min"
    cells = [f"[{name}]({name}.yaml)", f"{spec['model']['name']}{layers}", spec["task"]["name"], method]
    cells += [f"{found['baseline']:.4f}", f"{found['target']:.4f}", published, d90, f"{found['full_dim']:,}", minutes]
    return f"| {' | '.join([*cells, f'[figure](../figures/{name}.png)'])} |"


if __name__ == "__main__":
    main()
