"""Does the search's 95 % interval cover a known d90 in 95 % of simulated curves, and what does it cost?

    python experiments/search_coverage.py                      # about 5000 curves, minutes on one core
    python experiments/search_coverage.py --curves 20 --seed 7 --out /tmp/coverage

Writes OUT.json and OUT.md: coverage, width and trials for every scenario, shape and noise level.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib
import time

from intrinsic.search.simulate import SHAPES, Scenario, Tally, tally
from intrinsic.spec import SearchSpec

SCENARIOS = {
    # scenario -> share of --curves it runs, so that the standard one is known best
    Scenario(): 1.0,
    Scenario("grid protocol", spec=SearchSpec(kind="grid")): 0.2,
    Scenario("rate indifferent", penalty=(0.0, 0.0)): 0.2,
    Scenario("rate wrong by two", penalty=(4.0, 8.0), best_rate=2.0): 0.2,
    Scenario("rate wrong by four", penalty=(2.0, 5.0), best_rate=4.0): 0.2,
    Scenario("heavy tails (t, 4 df)", tails=4.0): 0.2,
    Scenario("baseline quieter by three", baseline_noise=1 / 3): 0.1,
    Scenario("baseline quieter by ten", baseline_noise=1 / 10): 0.1,
    Scenario("baseline noisier by three", baseline_noise=3.0): 0.1,
    Scenario("crossing near an end", d90=(4.5, 7.0)): 0.1,
    Scenario("five seeds", spec=SearchSpec(seeds=5), baseline_seeds=(5,)): 0.1,
}


def run(curves: int, seed: int) -> list[Tally]:
    rows = []
    for scenario, share in SCENARIOS.items():
        for shape in SHAPES:
            for noise in scenario.noises:
                rows.append(tally(scenario, shape, noise, max(1, round(curves * share)), seed))
                print(markdown_row(rows[-1]), flush=True)
    return rows


def markdown_row(row: Tally) -> str:
    error = math.sqrt(row.coverage * (1 - row.coverage) / row.curves)
    return (
        f"| {row.scenario} | {row.shape} | {row.noise:g} | {row.curves} | {row.coverage:.1%} ± {error:.1%} "
        f"| {row.below} | {row.above} | {row.ratio_median:.2f} | {row.trials_median:g} | {row.trials_max} |"
    )


def summary(rows: list[Tally]) -> list[dict[str, float | str]]:
    """Per scenario, over all its curves."""
    out: list[dict[str, float | str]] = []
    for name in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == name]
        curves = sum(row.curves for row in mine)
        missed = sum(row.below + row.above for row in mine)
        typical = sorted(row.trials_median for row in mine)[len(mine) // 2]
        out.append({"scenario": name, "curves": curves, "coverage": round(1 - missed / curves, 4), "trials": typical})
    return out


def markdown(rows: list[Tally], command: str, seconds: float) -> str:
    lines = [
        "# Coverage of the search's 95 % interval",
        "",
        f"`{command}`, {seconds:.0f} s on one core. Curves and noise: `intrinsic/search/simulate.py`.",
        "",
        "| scenario | curves | coverage | trials (median of the cells' medians) |",
        "|---|---|---|---|",
        *(f"| {r['scenario']} | {r['curves']} | {r['coverage']:.1%} | {r['trials']:g} |" for r in summary(rows)),
        "",
        "`below` and `above` count curves whose d90 lies below or above the interval; `ratio` is the median of its "
        "upper over its lower end (an open end counted as the bracket's).",
        "",
        "| scenario | shape | noise (points) | curves | coverage | below | above | ratio | trials, median | most |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(markdown_row, rows),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=int, default=300, help="curves a cell in the standard scenario")
    parser.add_argument("--seed", type=int, default=2024)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).with_suffix(""))
    args = parser.parse_args()
    started = time.process_time()
    rows = run(args.curves, args.seed)
    seconds = time.process_time() - started
    command = f"python experiments/search_coverage.py --curves {args.curves} --seed {args.seed}"
    cells = [{**dataclasses.asdict(row), "coverage": round(row.coverage, 4)} for row in rows]
    record = {"command": command, "seconds": round(seconds), "summary": summary(rows), "cells": cells}
    args.out.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    args.out.with_suffix(".md").write_text(markdown(rows, command, seconds))


if __name__ == "__main__":
    main()
