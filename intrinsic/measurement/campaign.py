"""The trials of a measurement as they run: what they gave, in the order they were asked for, and what is told of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from intrinsic.errors import IntrinsicError
from intrinsic.executor import Damaged, Event, Finished, Reused, run_trials
from intrinsic.executor.workers import Executor
from intrinsic.measurement.events import OnNews, SearchState, TargetKnown, TrialNews
from intrinsic.measurement.plan import Plan, answer, row, signed, signed_score
from intrinsic.records import Baseline, Cost, Meta, TrialResult, TrialRow, TrialTrain
from intrinsic.spec import MeasureSpec
from intrinsic.store import Store


class Campaign:
    """Runs plans and keeps what they gave, in the order in which they were asked for."""

    def __init__(self, spec: MeasureSpec, store: Store, executor: Executor, on_event: OnNews | None = None) -> None:
        self.spec = spec
        self._store = store
        self._executor = executor
        self._tell = on_event or (lambda news: None)
        self._plans: dict[str, Plan] = {}
        """By the trial's id."""
        self._results: dict[Plan, TrialResult] = {}
        self._reused: set[str] = set()
        self._target: float | None = None
        """Signed."""
        self._searched: list[tuple[Plan, float | None]] = []
        """Trials of the search that ended, with what the search is told of them."""
        self._state = SearchState(None, None)

    def run(self, plans: Sequence[Plan]) -> list[TrialResult]:
        """The results of the plans, in their order; a plan that was run before is not run again."""
        new = [plan for plan in dict.fromkeys(plans) if plan not in self._results]
        trials = [plan.trial(self.spec) for plan in new]
        self._plans.update((trial.id, plan) for trial, plan in zip(trials, new, strict=True))
        results = run_trials(trials, self._store, executor=self._executor, on_event=self._hear)
        self._results.update(zip(new, results, strict=True))
        return [self._results[plan] for plan in plans]

    def answers(self, plans: Sequence[Plan]) -> list[float | None]:
        """The plans' scores, signed so that higher is better; -inf for a diverged trial, None for a lost one."""
        return [answer(result) for result in self.run(plans)]

    def aim(self, target: float, baseline: Baseline | None) -> None:
        """From here on it is known what the trials of subspaces must reach; `target` is signed."""
        self._target = target
        self._tell(TargetKnown(signed(self.facts(), target), baseline))

    def _hear(self, event: Event) -> None:
        if isinstance(event, Damaged):
            self._tell(event)
        elif isinstance(event, Finished | Reused):
            self._end(event)
        else:
            self._tell(TrialNews(self._plans[event.spec.id], event))

    def _end(self, event: Finished | Reused) -> None:
        plan = self._plans[event.result.run.trial_id]
        if isinstance(event, Reused):
            self._reused.add(event.result.run.trial_id)
        self._tell(TrialNews(plan, event, self._reached(plan, event.result)))
        if plan.stream == "search" and self._target is not None:
            self._searched.append((plan, answer(event.result)))
            state = search_state(self._searched, self._target, self.spec.search.seeds)
            if state != self._state:
                self._state = state
                self._tell(state)

    def _reached(self, plan: Plan, result: TrialResult) -> bool | None:
        score = signed_score(result)
        return None if self._target is None or plan.d is None or score is None else score >= self._target

    @property
    def results(self) -> list[TrialResult]:
        return list(self._results.values())

    def artefact_bytes(self, d: int | None) -> int | None:
        """Of a trial of the search at d and the rate in use when it ended; None if there is none."""
        rates = [plan.rate for plan in self._results if plan.role == "search"]
        sizes = [
            result.train.artefact_bytes
            for plan, result in self._results.items()
            if plan.stream == "search" and plan.d == d and plan.rate == rates[-1]
        ]
        return next((size for size in sizes if size is not None), None)

    def facts(self) -> TrialTrain:
        """What the trials say about task and metric; IntrinsicError if none came far enough to know."""
        for result in self.results:
            if result.train.metric is not None and result.train.chance is not None:
                return result.train
        first = self.results[0].run
        raise IntrinsicError(
            f"no trial came far enough to know its task's metric; the first ended as {first.status}: {first.error}"
        )

    def why_no_score(self) -> str:
        """For a user whose trials all ended without a score."""
        first = self.results[0].run
        return f"no trial of full fine-tuning gave a score; the first ended as {first.status}: {first.error}"

    def rows(self) -> tuple[TrialRow, ...]:
        return tuple(row(plan, result) for plan, result in self._results.items())

    def cost(self) -> Cost:
        trials = {result.run.trial_id: result for result in self.results}.values()
        return Cost(
            trials=len(trials),
            steps=sum(result.train.steps for result in trials),
            seconds=round(sum(result.run.seconds for result in trials), 3),
            reused=len(self._reused),
        )

    def meta(self) -> Meta:
        """The first trial's, with the hashes that all trials share."""
        first = self.results[0].meta
        others = [result.meta.hashes for result in self.results if result.meta.hashes]
        shared = {k: v for k, v in first.hashes.items() if all(hashes.get(k) == v for hashes in others)}
        return first.model_copy(update={"hashes": shared})


def search_state(trials: Sequence[tuple[Plan, float | None]], target: float, look: int) -> SearchState:
    """Where the crossing lies, by the trials of the search in the order they ended, and their answers (signed).

    As in the search itself (`intrinsic.search.ledger`), a mean is taken over the trials at the rate in use, without
    lost ones and without a guard's first look, whose seed has the index `look`: it was chosen for being high.
    """
    factor = next((plan.rate_factor for plan, _ in reversed(trials) if plan.role == "search"), 1.0)
    scores: dict[int, list[float]] = defaultdict(list)
    for plan, score in trials:
        chosen_for_it = plan.role == "guard" and plan.seed == look
        if plan.d is not None and plan.rate_factor == factor and score is not None and not chosen_for_it:
            scores[plan.d].append(score)
    reached = {d for d, some in scores.items() if fmean(some) >= target}
    high = min(reached, default=None)
    return SearchState(max((d for d in scores.keys() - reached if high is None or d < high), default=None), high)
