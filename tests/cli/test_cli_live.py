"""What is shown while a measurement runs."""

from __future__ import annotations

import io
import re

import pytest
import synthetic
from intrinsic_cli.board import Board, Line
from intrinsic_cli.live import LEGEND, LiveTable
from rich.console import Console

from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement import SearchState, TargetKnown, TrialEvent
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.records import Baseline
from intrinsic.spec import PRESETS

SPEC = PRESETS["demo"]
BASELINE = [MeasureTrial("baseline", seed, 5e-4) for seed in range(3)]
TARGET = TargetKnown(0.675, Baseline(learning_rate=5e-4, scores=(0.74, 0.75, 0.76), mean=0.75, std=0.01))


def started(asked: MeasureTrial) -> TrialEvent:
    return TrialEvent(asked, Started(asked.trial_spec(SPEC)))


def progress(asked: MeasureTrial, step: int, steps: int, loss: float) -> TrialEvent:
    return TrialEvent(asked, Progress(asked.trial_spec(SPEC), step, steps, loss))


def ended(asked: MeasureTrial, kind=Finished, reached: bool | None = None, **changes) -> TrialEvent:
    return TrialEvent(asked, kind(synthetic.result(asked.trial_spec(SPEC), **changes)), reached)


def test_the_target_is_told_in_the_metrics_unit_with_the_baselines_spread():
    board = Board()
    assert board.hear(TARGET) == ["target 0.6750, baseline 0.7500 ± 0.0100 (3 seeds)"]
    assert board.target == TARGET
    assert board.hear(TargetKnown(-0.2, None)) == ["target -0.2000"], "a correlation may be negative"


def test_running_trials_come_and_go():
    board, asked = Board(clock=lambda: 7.0), BASELINE[0]
    board.hear(started(asked))
    board.hear(progress(asked, 40, 100, 0.5))
    (running,) = board.running.values()
    assert (running.asked, running.step, running.steps, running.loss, running.began) == (asked, 40, 100, 0.5, 7.0)
    (line,) = board.hear(ended(asked, Reused, reached=True))
    assert (line.asked, line.stored, line.reached) == (asked, True, True)
    assert (board.running, board.lines) == ({}, [line])
    assert board.hear(progress(asked, 50, 100, 0.5)) == [], "a late word about a trial that ended"
    assert board.running == {}


def test_other_news_are_sentences(tmp_path):
    board, asked = Board(), MeasureTrial("guard", 3, 8e-3, 128, 2.0)
    assert board.hear(TrialEvent(asked, Waiting(asked.trial_spec(SPEC)))) == [
        "another process runs guard d=128 seed 3 rate 0.008; its result will be used"
    ]
    (damage,) = board.hear(Damaged(tmp_path / "x.json", "cut off"))
    assert damage == f"skipped a damaged file; its trial, if one is needed, runs again: {tmp_path / 'x.json'} (cut off)"
    failed = board.hear(ended(BASELINE[0], status="failed"))
    assert isinstance(failed[0], Line)
    assert failed[1] == "  failed: made to end as failed"


def shown(*events, terminal: bool) -> tuple[str, LiveTable]:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, color_system=None, highlight=False, markup=False)
    with LiveTable(SPEC, console) as table:
        for event in events:
            table(event)
        if terminal:
            console.print(table._now())
    return file.getvalue(), table


RUNNING = MeasureTrial("guard", 3, 8e-3, 512, 2.0)
LOADING = MeasureTrial("search", 1, 4e-3, 1024)
EVENTS = [
    *map(ended, BASELINE),
    TARGET,
    ended(MeasureTrial("search", 0, 4e-3, 64), reached=False),
    ended(MeasureTrial("search", 0, 4e-3, 1024), Reused, reached=True),
    ended(MeasureTrial("guard", 3, 2e-3, 512, 0.5), status="out-of-memory"),
    SearchState(64, 1024),
    started(LOADING),
    started(RUNNING),
    progress(RUNNING, 450, 1000, 0.4123),
]


def test_plain_output_is_a_legend_and_one_line_a_finished_trial():
    out, _ = shown(*EVENTS, terminal=False)
    legend, lines = out.splitlines()[:2], out.splitlines()[2:]
    assert legend == [line.format(seed=SPEC.seed) for line in LEGEND]
    assert "--seed 0, trial, d" in legend[0]
    assert legend[1].startswith("guard: ")
    assert lines[0].split() == ["trial", "d", "seed", "rate", "score", "status", "time"]
    assert len(lines) == 1 + 6 + 1 + 1  # header, trials, target, one failure's reason
    assert any(line.split()[:4] == ["guard", "512", "3", "0.002"] for line in lines)
    assert "\x1b" not in out
    assert "\r" not in out
    ends = {len(line) for line in lines if line.endswith(" s")}
    assert ends == {len(lines[0])}, "columns line up"


def frame(*events) -> str:
    out, _ = shown(*events, terminal=True)
    lines = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip("\r") for line in out.splitlines()]
    assert all(len(line) <= 80 for line in lines)
    return "\n".join(lines)


def test_terminal_shows_running_trials_target_and_bracket():
    text = frame(*EVENTS)
    assert re.search(r"guard +512 +3 +0.008 ━+ +450/1000 0 s loss 0.412", text)
    assert re.search(r"search +1024 +1 +0.004 starting", text)
    assert re.search(r"target 0\.6750 · d between 64 and 1024 · 6 trials in ", text)
    assert "ok (stored)" in text
    assert "out-of-memory" in text


@pytest.mark.parametrize(
    ("news", "wanted"),
    [
        ((TargetKnown(-0.2, None),), r"^target -0\.2000 · 0 trials in "),
        ((SearchState(None, 16),), r"^d between \? and 16 · 0 trials in "),
        ((SearchState(16, None),), r"^d between 16 and \? · 0 trials in "),
        ((SearchState(None, None),), r"^0 trials in "),
    ],
)
def test_the_state_says_what_is_known(news, wanted):
    assert re.search(wanted, frame(*news), re.MULTILINE)


def test_terminal_is_left_clean_after_an_error():
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)

    def broken():
        with LiveTable(SPEC, console) as table:
            table(started(RUNNING))
            raise RuntimeError("x")

    with pytest.raises(RuntimeError, match="x"):
        broken()
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1, "the cursor comes back"


def test_nothing_is_printed_before_there_is_news():
    out = io.StringIO()
    with LiveTable(SPEC, Console(file=out)) as table:
        assert out.getvalue() == "", "a refusal would leave an empty table behind"
        table(TARGET)
    assert out.getvalue().count(LEGEND[1]) == 1
