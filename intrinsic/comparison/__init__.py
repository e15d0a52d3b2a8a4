"""The comparison of methods: each at its own learning rate, over the same seeds, and its smallest size that is enough.

1. Rates. Each method is tried at every rate of its grid, one seed each, at the middle one of its sizes. The grid grows
   where its best rate is an end (`intrinsic.measurement.rates`); where the next best is as good but for noise, both get
   a second seed (`intrinsic.comparison.rate`). The rate is an estimate: another nearby may do better, the more so at
   the other sizes.
2. Scores. search.seeds fresh seeds of each method and size at that rate. The seeds of initialisation and data order
   are the same for all, so that differences between methods are paired; no score that chose a rate counts.
3. Smallest sizes, if asked for. The search that finds d90 (`intrinsic.search`) runs for each method with sizes, over
   the method's own sizes, against the target that full fine-tuning's scores set. With several jobs, the choices of
   rates of all methods, and then their searches, run side by side (`intrinsic.comparison.together`).
4. Profiles: memory, and latency against the full model, in one process (`intrinsic.trial.profile`).

Deviation from the papers that compare methods: they run one rate and one seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from statistics import fmean, median, stdev

from intrinsic.comparison.checks import check_sizes, check_start
from intrinsic.comparison.contenders import parse_contenders, parse_method, written
from intrinsic.comparison.estimate import CompareEstimate, estimate
from intrinsic.comparison.planned import CompareEvent, CompareTrial, OnCompareEvent
from intrinsic.comparison.rate import rate_of
from intrinsic.comparison.together import side_by_side
from intrinsic.errors import SpecError, StoreError
from intrinsic.executor.attempt import Runner
from intrinsic.executor.base import Executor
from intrinsic.measurement.chance import near_chance
from intrinsic.measurement.checks import check_direction
from intrinsic.measurement.scores import signed, signed_score, unsigned
from intrinsic.measurement.trials import Asker, Trials, opened
from intrinsic.methods import METHODS, Size
from intrinsic.records import (
    CompareOutcome,
    CompareResult,
    CompareRow,
    CompareRun,
    Profile,
    SearchResult,
    SmallestSize,
    TrialResult,
    TrialTrain,
)
from intrinsic.search import Ask, Target, Words, make_target, no_baseline, search
from intrinsic.spec import FULL, CompareSpec, Contender, TrialSpec
from intrinsic.store import Store, read_comparison

__all__ = [
    "CompareEstimate",
    "CompareEvent",
    "CompareTrial",
    "compare",
    "estimate",
    "parse_contenders",
    "parse_method",
    "written",
]

FINEST_RATIO = 1.01
"""Ratio of an interval's ends below which a search over sizes needs no further seeds; sizes are often small numbers."""
Profiler = Callable[[TrialSpec], Profile]
"""A function that measures memory and latency of the method of a trial."""


@dataclass
class _Findings:
    """Results of the steps of a comparison that have been taken so far."""

    rows: list[CompareRow]
    warnings: list[str]
    target: Target | None = None
    smallest: list[SmallestSize] = field(default_factory=list)


def compare(
    spec: CompareSpec,
    output_dir: str | os.PathLike[str],
    *,
    jobs: int = 1,
    executor: str | Executor | None = None,
    on_event: OnCompareEvent | None = None,
    runner: Runner | None = None,
    profiler: Profiler | None = None,
    command: str | None = None,
) -> CompareResult:
    """Run the methods side by side; write comparison.json into output_dir, where all trials are kept.

    A second call resumes: trials that are stored are not run again, and profiles that the same comparison took stay as
    they are. Where full fine-tuning gives no target for `spec.at`, the result has its rows all the same, and every
    search of it the status `no-baseline`.

        jobs, executor, on_event, runner, command   as for `measure`
        profiler                                    replaces intrinsic.trial.profile.profile_trial

    Raises what `measure` raises: StoreError, SpecError, DataError, ModelError, IntrinsicError.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    again = command or f"intrinsic.compare(CompareSpec.model_validate({spec.model_dump()!r}), {str(output_dir)!r})"
    check_sizes(spec)
    with Store(output_dir) as store, opened(executor, jobs, runner) as place:
        if runner is None and not store.compared(spec.id):  # repeating a finished comparison needs no model
            check_start(spec)
        trials: Trials[CompareTrial] = Trials(
            lambda asked: asked.trial_spec(spec), store, place, on_event or (lambda event: None)
        )
        findings = _investigate(spec, trials)
        rows = _profiled(spec, findings.rows, profiler or _profile, _known_profiles(store, spec))
        result = CompareResult(
            run=CompareRun(compare_id=spec.id, spec=spec, command=again, started=started),
            result=_outcome(trials, findings, rows),
            meta=trials.meta(),
        )
        store.put_comparison(result)
    return result


def _investigate(spec: CompareSpec, trials: Trials[CompareTrial]) -> _Findings:
    choices = side_by_side(trials, [partial(rate_of, contender=contender) for contender in spec.contenders])
    rates = {contender.label: choice.rate for contender, choice in zip(spec.contenders, choices, strict=True)}
    findings = _Findings(_rows(spec, trials, rates), [warning for choice in choices for warning in choice.warnings])
    if spec.at is not None:
        _search_sizes(spec, trials, rates, findings)
    facts, full = trials.facts(), findings.rows[0].mean
    if findings.target is not None:
        findings.warnings += near_chance(findings.target.value, facts, "the target")
    elif full is not None:
        findings.warnings += near_chance(signed(facts, full), facts, "full fine-tuning's score")
    return findings


def _outcome(trials: Trials[CompareTrial], findings: _Findings, rows: Sequence[CompareRow]) -> CompareOutcome:
    facts, target = trials.facts(), findings.target
    return CompareOutcome(
        metric=str(facts.metric),
        higher_is_better=facts.higher_is_better,
        chance=facts.chance or 0.0,
        num_train=facts.num_train or 0,
        num_eval=facts.num_eval or 0,
        rows=tuple(rows),
        target=None if target is None else signed(facts, target.value),
        smallest=tuple(findings.smallest),
        warnings=tuple(findings.warnings),
        cost=trials.cost(),
    )


def _rows(spec: CompareSpec, trials: Trials[CompareTrial], rates: dict[str, float]) -> list[CompareRow]:
    seeds = range(spec.base.search.seeds)
    asked: list[list[CompareTrial]] = []
    for contender in spec.contenders:
        # a search runs only the sizes that it needs, and the table shows the smallest one that it finds
        searched = spec.at is not None and contender.size is not None
        for size in () if searched else contender.sizes or (None,):
            asked.append([CompareTrial(contender, size, rates[contender.label], seed) for seed in seeds])
    trials.run([one for some in asked for one in some])
    results = [trials.run(some) for some in asked]
    return [
        _row(some[0].contender, some[0].size, some[0].rate, got, results[0])
        for some, got in zip(asked, results, strict=True)
    ]


def _row(
    contender: Contender, size: int | None, rate: float, results: Sequence[TrialResult], full: Sequence[TrialResult]
) -> CompareRow:
    trains = [result.train for result in results]
    scored = [(seed, result.train.score) for seed, result in enumerate(results) if signed_score(result) is not None]
    seeds, numbers = [seed for seed, _ in scored], [score for _, score in scored if score is not None]
    losses = [train.train_loss for train in trains if train.train_loss is not None]
    seconds = [train.seconds_per_step for train in trains if train.seconds_per_step is not None]
    gaps = [
        reference.train.train_loss - train.train_loss
        for reference, train in zip(full, trains, strict=False)
        if reference.train.train_loss is not None and train.train_loss is not None
    ]
    known = next((train for train in trains if train.artefact_bytes is not None), TrialTrain())
    return CompareRow(
        label=contender.label,
        size_name=contender.size,
        size=size,
        method=contender.at(size),
        learning_rate=rate,
        scores=tuple(numbers),
        seeds=tuple(seeds),
        mean=fmean(numbers) if numbers else None,
        std=stdev(numbers) if len(numbers) > 1 else None,
        failed=len(results) - len(numbers),
        parameters_trained=known.parameters_trained,
        parameters_stored=known.parameters_stored,
        head_parameters=known.head_parameters,
        artefact_bytes=known.artefact_bytes,
        seconds_per_step=median(seconds) if seconds else None,
        train_loss=fmean(losses) if losses else None,
        optimisation_gap=fmean(gaps) if gaps else None,
        gaps=tuple(gaps),
    )


def _search_sizes(
    spec: CompareSpec, trials: Trials[CompareTrial], rates: dict[str, float], findings: _Findings
) -> None:
    """Find the target and the smallest size of each method, and add the rows of the sizes that were found.

    Where full fine-tuning leaves no target, each method's search says so instead; without such methods a warning does.
    """
    searched = [contender for contender in spec.contenders if contender.size is not None]
    try:
        target = findings.target = _target(spec, trials, findings.rows[0])
    except _NoTargetError as error:
        none = no_baseline(spec.base.search, str(error))
        findings.smallest = [_size_of(contender, rates[contender.label], none) for contender in searched]
        findings.warnings += [] if searched else [none.message]
        return
    searches = [
        partial(_search, spec=spec, contender=contender, rate=rates[contender.label], target=target)
        for contender in searched
    ]
    findings.smallest = side_by_side(trials, searches)
    full = trials.run(
        [CompareTrial(spec.contenders[0], None, rates[FULL], seed) for seed in range(spec.base.search.seeds)]
    )
    for contender, smallest in zip(searched, findings.smallest, strict=True):
        if smallest.search.d is not None:
            asked = _asked_at(spec, contender, smallest)
            findings.rows.append(_row(contender, smallest.search.d, asked[0].rate, trials.run(asked), full))


class _NoTargetError(Exception):
    """Full fine-tuning's scores give no target; the message says why."""


def _target(spec: CompareSpec, trials: Trials[CompareTrial], full: CompareRow) -> Target:
    """The target of the searches. Raises _NoTargetError where full fine-tuning's scores leave none."""
    facts = trials.facts()
    check_direction(spec.base.target, str(facts.metric), facts.higher_is_better)
    if not full.scores and spec.base.target.kind != "global":
        ended = trials.how_the_first_ended(lambda asked: asked.contender == spec.contenders[0])
        raise _NoTargetError(f"no trial of full fine-tuning gave a score; {ended}")
    scores, chance = [signed(facts, score) for score in full.scores], signed(facts, facts.chance or 0.0)
    rule = spec.base.target.model_copy(update={"fraction": spec.at})
    try:
        return make_target(rule, scores, chance, negated=not facts.higher_is_better)
    except SpecError as error:
        raise _NoTargetError(str(error)) from error


def _search(
    asker: Asker[CompareTrial], spec: CompareSpec, contender: Contender, rate: float, target: Target
) -> SmallestSize:
    sizes = contender.sizes
    asked = spec.base.search.model_copy(update={"kind": "adaptive", "grid": sizes, "resolution": FINEST_RATIO})

    def evaluate(asks: Sequence[Ask]) -> list[float | None]:
        return asker.answers([CompareTrial(contender, a.d, rate * a.rate_factor, a.seed, "search") for a in asks])

    found = unsigned(search(evaluate, target, asked, _words(contender)), asker.facts())
    size = found.d
    trained = None
    if size is not None:
        at_it = [point for point in found.points if point.d == size and point.score is not None]
        one = CompareTrial(contender, size, rate * at_it[-1].rate_factor, at_it[-1].seed, "search")
        trained = asker.run([one])[0].train.parameters_trained
    return _size_of(contender, rate, found, trained)


def _size_of(contender: Contender, rate: float, found: SearchResult, trained: int | None = None) -> SmallestSize:
    return SmallestSize(
        label=contender.label,
        size_name=str(contender.size),
        learning_rate=rate,
        search=found,
        parameters_trained=trained,
    )


def _words(contender: Contender) -> Words:
    """The words of a search's messages for a user of `compare`: what can be changed, by its flags."""
    method = METHODS[contender.method.name]
    letter = (method.size or Size(str(contender.size))).letter
    least = contender.sizes[0] == 1
    return Words(
        lower="there is no smaller one" if least else f"give a smaller {letter} in --methods",
        higher=f"give a larger {letter} in --methods",
        less="lower --at",
        rates=f"--{method.rates_field.replace('_', '-')}" if method.rates_field else "lr in --methods",
        curve=f"compare several {letter} without --at",
        noun="size",
        plural="sizes",
        letter=letter,
    )


def _asked_at(spec: CompareSpec, contender: Contender, smallest: SmallestSize) -> list[CompareTrial]:
    """The trials at the size that was found, with all seeds, at the rate that was last in use there."""
    last = [point for point in smallest.search.points if point.d == smallest.search.d][-1]
    seeds = range(spec.base.search.seeds)
    return [CompareTrial(contender, last.d, smallest.learning_rate * last.rate_factor, seed) for seed in seeds]


def _known_profiles(store: Store, spec: CompareSpec) -> dict[str, Profile]:
    """The profiles that this comparison took before, by method; none if its record is absent or damaged."""
    try:
        before = read_comparison(store.path, spec.id).result.rows
    except StoreError:
        return {}
    return {row.method.model_dump_json(): row.profile for row in before if row.profile is not None}


def _profiled(
    spec: CompareSpec, rows: Sequence[CompareRow], take: Profiler, known: dict[str, Profile]
) -> list[CompareRow]:
    contenders = {contender.label: contender for contender in spec.contenders}
    profiled = []
    for row in rows:
        profile = known.get(row.method.model_dump_json())
        if profile is None and row.mean is not None:
            profile = take(CompareTrial(contenders[row.label], row.size, row.learning_rate, 0).trial_spec(spec))
        profiled.append(row.model_copy(update={"profile": profile}))
    return profiled


def _profile(spec: TrialSpec) -> Profile:
    """The profile where no other profiler is given; loads torch."""
    from intrinsic.trial.profile import profile_trial

    return profile_trial(spec)
