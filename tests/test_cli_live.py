"""What is shown while a measurement runs."""

from __future__ import annotations

import io
import re

import pytest
import synthetic
from intrinsic_cli.board import Board, Line, plan_of
from intrinsic_cli.live import LiveTable
from rich.console import Console

from intrinsic.executor import Damaged, Finished, Progress, Reused, Started, Waiting
from intrinsic.measurement.plan import Plan
from intrinsic.spec import PRESETS, TargetSpec

SPEC = PRESETS["demo"]
BASELINE = [Plan("baseline", seed, 5e-4) for seed in range(3)]
PLANS = [
    Plan("baseline-rate", 0, 1e-3),
    *BASELINE,
    Plan("subspace-rate", 0, 2e-3, 128),
    Plan("search", 2, 4e-3, 128),
    Plan("search", 5, 8e-3, 64),
]


def ended(plan: Plan, spec=SPEC, **changes) -> Finished:
    return Finished(synthetic.result(plan.trial(spec), **changes))


def after(*plans: Plan, spec=SPEC, **changes) -> Board:
    board = Board(spec, clock=lambda: 0.0)
    for plan in plans:
        board.hear(Started(plan.trial(spec)))
        board.hear(ended(plan, spec, **changes))
    return board


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_a_trial_is_recognised_by_its_seeds(plan):
    assert plan_of(SPEC, plan.trial(SPEC)) == plan


def test_a_foreign_trial_is_no_ones():
    with pytest.raises(ValueError, match="none of this measurement's"):
        plan_of(SPEC, synthetic.spec(4, seed=3))


def test_the_target_is_known_when_the_baseline_is_complete():
    board = after(*BASELINE)
    assert board.target is None
    news = board.hear(Started(Plan("subspace-rate", 0, 4e-3, 128).trial(SPEC)))
    scores = [line.result.train.score for line in board.lines]
    mean = sum(scores) / 3
    assert board.target.value == pytest.approx(0.9 * mean)
    assert news == [f"target {0.9 * mean:.4f}, baseline {mean:.4f}"]


def test_the_target_is_told_with_stored_trials_too():
    board = after(*BASELINE)
    plan = Plan("subspace-rate", 0, 4e-3, 128)
    news = board.hear(Reused(synthetic.result(plan.trial(SPEC))))
    assert [type(n) for n in news] == [str, Line]
    assert news[1].stored


def test_the_target_where_lower_is_better():
    spec = SPEC.model_copy(update={"target": TargetSpec(kind="chance-corrected")})
    board = Board(spec)
    for plan in BASELINE:
        board.hear(ended(plan, spec, score=0.2, chance=1.0, higher_is_better=False))
    search = Plan("search", 0, 4e-3, 64)
    news = board.hear(ended(search, spec, score=0.25, chance=1.0, higher_is_better=False))
    assert news[0] == "target 0.2800, baseline 0.2000"
    assert board.reaches(board.lines[-1]) is True


def test_without_a_baseline_there_is_no_target():
    board = after(*BASELINE, status="diverged")
    assert board.hear(Started(Plan("search", 0, 4e-3, 64).trial(SPEC))) == []
    assert board.target is None
    assert board.bracket() == (None, None)


def test_the_bracket_closes_around_the_target():
    board = after(*BASELINE, Plan("search", 0, 4e-3, 64))
    assert board.bracket() == (64, None)
    for d in (512, 256, 16):
        board.hear(ended(Plan("search", 0, 4e-3, d)))
    assert board.bracket() == (64, 256)
    below = after(*BASELINE, Plan("search", 0, 4e-3, 1024))
    assert below.bracket() == (None, 1024)


def test_running_trials_come_and_go():
    board, plan = Board(SPEC, clock=lambda: 7.0), BASELINE[0]
    trial = plan.trial(SPEC)
    board.hear(Started(trial))
    board.hear(Progress(trial, 40, 100, 0.5))
    (running,) = board.running.values()
    assert (running.plan, running.step, running.steps, running.loss, running.began) == (plan, 40, 100, 0.5, 7.0)
    board.hear(ended(plan))
    assert board.running == {}
    assert board.hear(Progress(trial, 50, 100, 0.5)) == [], "a late word about a trial that ended"
    assert board.running == {}


def test_other_events_are_sentences(tmp_path):
    board = Board(SPEC)
    assert board.hear(Waiting(PLANS[5].trial(SPEC))) == [
        "another process runs search d=128 seed 2; its result will be used"
    ]
    (damage,) = board.hear(Damaged(tmp_path / "x.json", "cut off"))
    assert damage == f"skipped a damaged file, its trial runs again: {tmp_path / 'x.json'} (cut off)"
    failed = board.hear(ended(BASELINE[0], status="failed"))
    assert failed[-1] == "  failed: made to end as failed"


def shown(*events, terminal: bool) -> tuple[str, LiveTable]:
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=terminal, color_system=None, highlight=False, markup=False)
    with LiveTable(SPEC, console) as table:
        for event in events:
            table(event)
        if terminal:
            console.print(table._now())
    return file.getvalue(), table


RUNNING = Plan("search", 2, 4e-3, 512).trial(SPEC)
LOADING = Plan("search", 1, 4e-3, 1024).trial(SPEC)
EVENTS = [
    *map(ended, BASELINE),
    ended(Plan("search", 0, 4e-3, 64)),
    Reused(synthetic.result(Plan("search", 0, 4e-3, 1024).trial(SPEC))),
    ended(Plan("search", 1, 4e-3, 512), status="out-of-memory"),
    Started(LOADING),
    Started(RUNNING),
    Progress(RUNNING, 450, 1000, 0.4123),
]


def test_plain_output_is_one_line_a_finished_trial():
    out, _ = shown(*EVENTS, terminal=False)
    lines = out.splitlines()
    assert lines[0].split() == ["trial", "d", "seed", "rate", "score", "status", "time"]
    assert len(lines) == 1 + 6 + 1 + 1  # header, trials, target, one failure's reason
    assert "\x1b" not in out
    assert "\r" not in out
    ends = {len(line) for line in lines if line.endswith(" s")}
    assert ends == {len(lines[0])}, "columns line up"


def test_terminal_shows_running_trials_target_and_bracket():
    out, _ = shown(*EVENTS, terminal=True)
    frame = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).strip("\r") for line in out.splitlines()]
    assert all(len(line) <= 80 for line in frame)
    text = "\n".join(frame)
    assert re.search(r"search +512 +2 +0.004 ━+ +450/1000 0 s loss 0.412", text)
    assert re.search(r"search +1024 +1 +0.004 starting", text)
    assert re.search(r"target 0\.\d{4} · d between 64 and 1024 · 6 trials in ", text)
    assert "ok (stored)" in text
    assert "out-of-memory" in text


def test_terminal_is_left_clean_after_an_error():
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)

    def broken():
        with LiveTable(SPEC, console) as table:
            table(Started(RUNNING))
            raise RuntimeError("x")

    with pytest.raises(RuntimeError, match="x"):
        broken()
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1, "the cursor comes back"
