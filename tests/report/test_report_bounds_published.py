"""What published dimensions and our own runs certify: numbers by other arithmetic, files from their own scripts."""

from __future__ import annotations

import csv
import math

import pytest
from mpmath import mp, mpf
from paths import ROOT, experiment


@pytest.fixture(scope="module")
def script():
    return experiment("published_d90_bounds")


def test_the_files_are_what_the_script_makes(script):
    rows = script.table()
    assert (ROOT / "figures" / "published-d90-bounds.csv").read_text() == script.table_csv(rows)
    assert (ROOT / "experiments" / "published_d90_bounds.md").read_text() == script.markdown(rows)
    assert all((ROOT / "figures" / f"published-d90-bounds.{kind}").stat().st_size > 0 for kind in ("png", "pdf"))


def test_gaps_and_tails_by_other_arithmetic():
    rows = list(csv.DictReader((ROOT / "figures" / "published-d90-bounds.csv").read_text().splitlines()))
    assert len(rows) == 22
    for row in rows:
        d, m = int(row["d"]), int(row["m"])
        for bits in (1, 4, 16, 32):
            gap = math.sqrt((d * bits * math.log(2) + math.log(20)) / (2 * m))
            assert float(row[f"theorem1_{bits}_bits_no_training_error"]) == pytest.approx(gap, rel=1e-12)
            none = -math.expm1(-(d * bits * math.log(2) + math.log(20)) / m)
            assert float(row[f"binomial_tail_{bits}_bits_no_training_error"]) == pytest.approx(none, rel=1e-12)


def test_the_largest_training_error_is_where_the_bound_meets_the_majority_class(script):
    value = next(v for v in script.PUBLISHED if v.data is script.MRPC and v.d == 207)
    most = round(value.largest_training_error(4) * 3668)
    p, share = mpf(value.data.majority_error), mpf("0.05") * mpf(2) ** -(4 * 207)
    tails = [mp.betainc(3668 - k, k + 1, 0, 1 - p, regularized=True) for k in (most, most + 1)]
    assert tails[0] < share <= tails[1]
    assert value.largest_training_error(32) is None


def test_what_the_page_says_is_in_the_table(script):
    mrpc = [v for v in script.PUBLISHED if v.data is script.MRPC]
    assert all(v.tail(32, 0.0) >= v.data.majority_error for v in mrpc)
    assert all(script.says(v, 32) == "nothing, even without a training error" for v in mrpc)
    random = next(v for v in script.PUBLISHED if v.data is script.RANDOM)
    assert all(random.tail(width, 0.1) >= 0.9 for width in script.WIDTHS)


def test_the_page_of_our_own_runs_is_what_its_script_makes():
    """From the records and the counted errors alone: a figure's numbers and the page follow from them."""
    runs = experiment("bounds_of_runs")
    text, files = runs.page()
    assert (ROOT / "experiments" / "bounds_of_runs.md").read_text() == text
    for name, content in files.items():
        if name.endswith(".csv"):
            assert (ROOT / "figures" / name).read_text() == content
        else:
            assert (ROOT / "figures" / name).stat().st_size > 0
    for name, counted in runs.counts().items():
        record = runs.measurement(name)
        assert {one.num_train for one in counted} == {record.result.num_train}
        assert {one.trial_id for one in counted} == {t.trial_id for t in runs.representatives(record)}
