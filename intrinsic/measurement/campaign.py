"""A measurement in progress: it runs the trials and reports events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from intrinsic.executor import Damaged, Finished, Reused
from intrinsic.executor.base import Executor
from intrinsic.measurement.events import OnMeasureEvent, SearchState, TargetKnown, TrialEvent
from intrinsic.measurement.planned import MeasureTrial
from intrinsic.measurement.scores import answer, signed, signed_score
from intrinsic.measurement.trials import Trials
from intrinsic.records import Baseline, TrialResult
from intrinsic.spec import MeasureSpec
from intrinsic.store import Store


class Campaign:
    """Runs the trials of a measurement and reports each trial, the target, and the range in which the crossing lies."""

    def __init__(
        self, spec: MeasureSpec, store: Store, executor: Executor, on_event: OnMeasureEvent | None = None
    ) -> None:
        self.spec = spec
        self.trials: Trials[MeasureTrial] = Trials(lambda asked: asked.trial_spec(spec), store, executor, self._hear)
        self._tell = on_event or (lambda event: None)
        self._target: float | None = None
        """Signed target (see :mod:`intrinsic.measurement.scores`); None until it is known."""
        self._searched: list[tuple[MeasureTrial, float | None]] = []
        """Trials of the search that have ended, each with its answer (`intrinsic.measurement.scores.answer`)."""
        self._state = SearchState(None, None)

    def aim(self, target: float, baseline: Baseline | None) -> None:
        """Set the signed target that subspaces must reach, and report it together with the baseline."""
        self._target = target
        self._tell(TargetKnown(signed(self.trials.facts(), target), baseline))

    def artefact_bytes(self, d: int | None) -> int | None:
        """The artefact's size in bytes, of a search trial at d and the rate in use at the end; None if none has one."""
        results = self.trials.results
        rates = [asked.rate for asked in results if asked.purpose == "search"]
        sizes = [
            result.train.artefact_bytes
            for asked, result in results.items()
            if asked.stream == "search" and asked.d == d and asked.rate == rates[-1]
        ]
        return next((size for size in sizes if size is not None), None)

    def _hear(self, event: TrialEvent[MeasureTrial] | Damaged) -> None:
        if isinstance(event, TrialEvent) and isinstance(event.event, Finished | Reused):
            self._end(event, event.event.result)
        else:
            self._tell(event)

    def _end(self, event: TrialEvent[MeasureTrial], result: TrialResult) -> None:
        asked = event.asked
        self._tell(replace(event, reached=self._reached(asked, result)))
        if asked.stream == "search" and self._target is not None:
            self._searched.append((asked, answer(result)))
            state = search_state(self._searched, self._target)
            if state != self._state:
                self._state = state
                self._tell(state)

    def _reached(self, asked: MeasureTrial, result: TrialResult) -> bool | None:
        score = signed_score(result)
        return None if self._target is None or asked.d is None or score is None else score >= self._target


def search_state(trials: Sequence[tuple[MeasureTrial, float | None]], target: float) -> SearchState:
    """The range in which the crossing lies, from the search's trials in the order in which they ended.

    Each trial comes with its signed answer. As in the search itself (`intrinsic.search.ledger`), a mean is taken over
    the trials at the rate in use, without lost ones and without a guard's first look, whose score is biased upwards.
    """
    factor = next((asked.rate_factor for asked, _ in reversed(trials) if asked.purpose == "search"), 1.0)
    scores: dict[int, list[float]] = defaultdict(list)
    for asked, score in trials:
        if asked.d is not None and asked.rate_factor == factor and score is not None and not asked.first_look:
            scores[asked.d].append(score)
    reached = {d for d, some in scores.items() if fmean(some) >= target}
    high = min(reached, default=None)
    return SearchState(max((d for d in scores.keys() - reached if high is None or d < high), default=None), high)
