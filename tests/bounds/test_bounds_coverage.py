"""Occam's bound holds as often as it says when the choice is paid for, and fails when it is not."""

from __future__ import annotations

import json

import pytest
from paths import ROOT, experiment


@pytest.fixture(scope="module")
def script():
    return experiment("occam_coverage")


@pytest.mark.parametrize("which", [0, *(pytest.param(which, marks=pytest.mark.slow) for which in (1, 2))])
def test_paid_bits_keep_the_promise_and_unpaid_bits_break_it(script, which):
    scenario = script.SCENARIOS[which]
    assert sum(2.0**-length for length in scenario.lengths) == 1.0  # a prefix code that wastes nothing
    rows = {(row.bound, row.unpaid): row for row in script.simulate(scenario, draws=20_000, seed=11)}
    for bound in script.BOUNDS:
        assert rows[bound, 0].violated <= script.DELTA * 20_000
        failures = [rows[bound, unpaid].violated for unpaid in range(script.BITS + 1)]
        assert failures == sorted(failures)
    tail = rows["binomial tail", script.BITS]
    assert tail.share > 5 * script.DELTA
    assert tail.share > rows["kl", script.BITS].share > rows["Hoeffding", script.BITS].share


def test_the_record_keeps_the_promise(script):
    record = json.loads((ROOT / "experiments" / "occam_coverage.json").read_text())
    paid = [row for row in record["rows"] if row["unpaid"] == 0]
    assert len(paid) == len(script.SCENARIOS) * len(script.BOUNDS)
    assert all(row["draws"] == 20_000 and row["violated"] <= script.DELTA * 20_000 for row in paid)
    rows = [script.Row(**row) for row in record["rows"]]
    assert script.table(rows) == (ROOT / "figures" / "occam-coverage.csv").read_text()
    assert all((ROOT / "figures" / f"occam-coverage.{kind}").stat().st_size > 0 for kind in ("png", "pdf"))
