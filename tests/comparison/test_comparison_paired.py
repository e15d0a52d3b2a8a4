"""Paired differences to full fine-tuning, against numpy on hand-made scores."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import scipy.stats
from comparisons import compared, profiler, runner, spec

from intrinsic.comparison import compare
from intrinsic.records import CompareResult
from intrinsic.report.comparison.paired import against_full, gaps
from intrinsic.report.comparison.tables import csv_table, differences, facts, latex, markdown, tables

FULL = {0: 0.80, 1: 0.90, 2: 0.86}
LORA = {0: 0.78, 1: 0.87, 2: 0.85}
SAID = {1: 0.70, 2: 0.69}
PROBE = {2: 0.60}
GAPS = {"lora": (-0.1, -0.3, -0.2), "said": (-0.5, -0.4), "probe": (-0.9,)}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> CompareResult:
    return compared("lora:r=1:lr=1e-3,said:d=100,probe:lr=4e-3", tmp_path_factory.mktemp("paired"))


def made(template: CompareResult, *by_seed: dict[int, float], **more: object) -> CompareResult:
    """The comparison with these scores, by seed, in its rows."""
    rows = [
        row.model_copy(
            update={
                "scores": tuple(scores.values()),
                "seeds": tuple(scores),
                "failed": 3 - len(scores),
                "gaps": GAPS.get(row.label, (0.0, 0.0, 0.0)),
                "optimisation_gap": float(np.mean(GAPS.get(row.label, (0.0,)))),
                **more,
            }
        )
        for row, scores in zip(template.result.rows, by_seed, strict=True)
    ]
    return template.model_copy(update={"result": template.result.model_copy(update={"rows": tuple(rows)})})


def by_numpy(*differences: list[float]) -> list[tuple[float, float]]:
    """(mean, half) each, from residuals about each one's own mean."""
    residuals = np.concatenate([np.subtract(own, np.mean(own)) for own in differences])
    freedom = sum(len(own) - 1 for own in differences)
    deviation = np.sqrt(residuals @ residuals / freedom)
    quantile = scipy.stats.t.isf(0.025, freedom)
    return [(float(np.mean(own)), quantile * deviation / np.sqrt(len(own))) for own in differences]


def test_differences_are_taken_over_shared_seeds_and_their_spread_is_pooled(template) -> None:
    full, *others = against_full(made(template, FULL, LORA, SAID, PROBE))
    expected = by_numpy([0.78 - 0.80, 0.87 - 0.90, 0.85 - 0.86], [0.70 - 0.90, 0.69 - 0.86], [0.60 - 0.86])
    assert full is None
    assert [(found.mean, found.half) for found in others] == pytest.approx(np.array(expected))


def test_what_a_seed_does_to_all_alike_cancels(template) -> None:
    """The scores spread by a tenth; the differences do not at all."""
    lower = {seed: score - 0.05 for seed, score in FULL.items()}
    _, lora, *_ = against_full(made(template, FULL, lower, lower, lower))
    assert (lora.mean, lora.half) == pytest.approx((-0.05, 0.0))


def test_no_shared_seed_is_blank_and_one_seed_each_has_no_interval(template) -> None:
    _, lora, said, _ = against_full(made(template, {0: 0.8}, {0: 0.7}, {1: 0.7}, {0: 0.6}))
    assert said is None
    assert (lora.mean, lora.half) == (pytest.approx(-0.1), None)
    table = differences(made(template, {0: 0.8}, {0: 0.7}, {1: 0.7}, {0: 0.6}))[1]
    assert [row[:2] for row in table] == [("lora r=1", "-0.1000"), ("said d=100", "–"), ("probe", "-0.2000")]


def test_a_record_that_kept_no_seeds_tells_them_where_no_trial_failed(template) -> None:
    known = made(template, FULL, LORA, FULL, LORA)
    old = made(template, FULL, LORA, FULL, LORA, seeds=None, gaps=())
    assert against_full(old) == against_full(known)
    assert [(gap.mean, gap.half) for gap in gaps(old)] == [
        (pytest.approx(row.optimisation_gap), None) for row in old.result.rows
    ]
    lost = made(template, FULL, LORA, SAID, PROBE, seeds=None)
    assert [found is None for found in against_full(lost)] == [True, False, True, True]


def test_the_gap_has_its_spread(template) -> None:
    full, *others = gaps(made(template, FULL, LORA, SAID, PROBE))
    assert (full.mean, full.half) == (0, None)
    assert [(found.mean, found.half) for found in others] == pytest.approx(
        np.array(by_numpy(*map(list, GAPS.values())))
    )


def test_every_table_shows_them(template) -> None:
    result = made(template, FULL, LORA, SAID, PROBE)
    (mean, half), *_ = by_numpy([-0.02, -0.03, -0.01], [-0.2, -0.17], [-0.26])
    (gap, wide), *_ = by_numpy(*map(list, GAPS.values()))
    cells = ("lora r=1", f"{mean:+.4f} ± {half:.4f}", f"{gap:+.3f} ± {wide:.3f}")
    assert differences(result)[1][0] == cells
    assert f"| {mean:+.4f} ± {half:.4f} |" in markdown(result)
    assert rf"& {mean:+.4f} $\pm$ {half:.4f} &" in latex(result)
    assert "half its 95 % interval" in dict(facts(result))["against full"]
    line = list(csv.DictReader(io.StringIO(csv_table(result))))[1]
    told = [float(line[key]) for key in ("against_full", "against_full_half", "optimisation_gap_half")]
    assert told == pytest.approx([mean, half, wide])


def test_a_comparison_keeps_the_seeds_of_its_scores_and_every_gap(tmp_path) -> None:
    def loses(trial, **more):
        done = runner(trial)
        second = trial.seeds.data_order != first
        if trial.method.name != "lora" or second:
            return done
        run = done.run.model_copy(update={"status": "diverged", "error": "loss is nan"})
        return done.model_copy(update={"run": run, "train": done.train.model_copy(update={"score": None})})

    from intrinsic.comparison.planned import CompareTrial

    asked = spec("lora:r=1:lr=1e-3,probe:lr=4e-3")
    first = CompareTrial(asked.contenders[0], None, 5e-4, 0).trial_spec(asked).seeds.data_order
    full, lora, probe = compare(asked, tmp_path, runner=loses, profiler=profiler).result.rows
    assert (full.seeds, lora.seeds, probe.seeds) == ((0, 1), (1,), (0, 1))
    assert len(lora.scores) == 1
    assert np.mean(probe.gaps) == pytest.approx(probe.optimisation_gap)
    assert len(probe.gaps) == 2


def test_full_fine_tuning_alone_has_no_table_of_differences(tmp_path) -> None:
    titles = [title for title, _ in tables(compared("full", tmp_path))]
    assert not [title for title in titles if title.startswith("Differences")]
