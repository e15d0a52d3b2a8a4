"""The measurement of d90: baseline, target, learning rate, search, result.

1. Baseline. Full fine-tuning runs once at every rate of `baseline_rates`; then `baseline_seeds` fresh seeds at
   the best rate give the baseline's scores.
2. Target: `intrinsic.search.make_target` computes it from those scores.
3. Subspace rate. One subspace trial runs at every rate of `subspace_rates`, at the geometric middle of the
   bracket. The best rate then serves at all dimensions, which works because the rows of P have unit norm; where a
   dimension fails, the search tries other rates too.
4. Search: `intrinsic.search.search` asks for trials at (d, seed, rate factor) until d90 is known.

How a rate is chosen, and when its grid grows: `intrinsic.measurement.rates`.

Selection bias. Rates are chosen by their score on the evaluation split, the split that d90 is defined on. The best of
several scores is biased upwards, so no score that took part in a choice is used again: the scores behind baseline,
target and d90 come from other seeds, and are unbiased for the rate that was chosen.

Seeds. Initialisation, data order and projection each get derive(root, role, [d,] index, name)
(`intrinsic.seeds.derive`). They are independent between roles, dimensions, seed indices and each other, as the search's
statistics assume. The trials of one choice of a rate share their seeds, so that only the rate differs.

The result is a function of the spec and of the stored trials: the same command on a complete store runs nothing and
gives the same result, except for `started` and `reused`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import fmean, stdev

from intrinsic.errors import SpecError
from intrinsic.executor.attempt import Runner
from intrinsic.executor.base import Executor
from intrinsic.measurement.campaign import Campaign
from intrinsic.measurement.chance import near_chance
from intrinsic.measurement.checks import check_bracket, check_direction, check_settings
from intrinsic.measurement.estimate import Estimate, estimate
from intrinsic.measurement.events import MeasureEvent, OnMeasureEvent, SearchState, TargetKnown, TrialEvent
from intrinsic.measurement.planned import MeasureTrial, Purpose, row
from intrinsic.measurement.rates import choose_rate
from intrinsic.measurement.scores import signed, signed_score, unsigned
from intrinsic.measurement.trials import opened
from intrinsic.records import Baseline, MeasureOutcome, MeasureResult, MeasureRun, SearchResult, TrialTrain
from intrinsic.search import Ask, Target, dimensions, make_target, no_baseline, search
from intrinsic.search.rates import RateInUse
from intrinsic.spec import MeasureSpec
from intrinsic.store import Store

__all__ = ["Estimate", "MeasureEvent", "SearchState", "TargetKnown", "TrialEvent", "estimate", "measure"]


@dataclass
class _Findings:
    """Results of the steps of a measurement that have been taken so far."""

    baseline: Baseline | None = None
    target: Target | None = None
    rate: float | None = None
    search: SearchResult | None = None
    warnings: list[str] = field(default_factory=list)


def measure(
    spec: MeasureSpec,
    output_dir: str | os.PathLike[str],
    *,
    jobs: int = 1,
    executor: str | Executor | None = None,
    on_event: OnMeasureEvent | None = None,
    runner: Runner | None = None,
    command: str | None = None,
) -> MeasureResult:
    """Find d90 of a model on a task; write result.json into output_dir, where all trials are kept.

    A second call resumes: trials that are stored are not run again. A search that finds no dimension still gives a
    result, whose status says why.

        jobs       number of trials at the same time; above 1 they run in worker processes
        executor   where trials run instead: a name in intrinsic.executor.base.EXECUTORS, or an executor, which is left
                   open
        on_event   called with every event of `intrinsic.measurement.events`
        runner     replaces intrinsic.trial.run_trial; data and model are then not checked before the first trial
        command    recorded in the result as the way to get it again; None: this call in Python

    Raises StoreError (directory unusable, or data changed since its trials were made), SpecError, DataError and
    ModelError (the trials cannot be run as asked), and IntrinsicError if no trial came far enough to know its task's
    metric. KeyboardInterrupt leaves all finished trials stored.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    again = command or f"intrinsic.measure(MeasureSpec.model_validate({spec.model_dump()!r}), {str(output_dir)!r})"
    with Store(output_dir) as store, opened(executor, jobs, runner) as place:
        if runner is None and not store.measured(spec.id):  # repeating a finished measurement needs no model
            from intrinsic.trial import check_trial

            check_settings(spec)
            check_bracket(spec, check_trial)
        campaign = Campaign(spec, store, place, on_event)
        findings = _investigate(campaign)
        result = MeasureResult(
            run=MeasureRun(measure_id=spec.id, spec=spec, command=again, started=started),
            result=_outcome(campaign, findings),
            meta=campaign.trials.meta(),
        )
        store.put_measurement(result)
    return result


def _investigate(campaign: Campaign) -> _Findings:
    findings = _Findings()
    scores = _baseline(campaign, findings)
    facts = campaign.trials.facts()
    check_direction(campaign.spec.target, str(facts.metric), facts.higher_is_better)
    if not scores and campaign.spec.target.kind != "global":
        why = f"no trial of full fine-tuning gave a score; {campaign.trials.how_the_first_ended()}"
        findings.search = no_baseline(campaign.spec.search, why)
        return findings
    try:
        chance = signed(facts, facts.chance or 0.0)
        findings.target = make_target(campaign.spec.target, scores, chance, negated=not facts.higher_is_better)
    except SpecError as error:
        findings.search = no_baseline(campaign.spec.search, str(error))
        return findings
    campaign.aim(findings.target.value, findings.baseline)
    if findings.baseline is not None:
        findings.warnings += near_chance(signed(facts, findings.baseline.mean), facts, "the baseline")
    findings.warnings += near_chance(findings.target.value, facts, "the target")
    _subspace_rate(campaign, findings, facts)
    findings.search = _search(campaign, findings)
    return findings


def _baseline(campaign: Campaign, findings: _Findings) -> list[float]:
    """Signed scores of full fine-tuning at its best rate."""
    spec = campaign.spec
    choice = choose_rate(
        spec.baseline_rates,
        lambda rates: campaign.trials.answers([MeasureTrial("baseline-rate", 0, rate) for rate in rates]),
        "baseline",
    )
    findings.warnings += choice.warnings
    results = campaign.trials.run([MeasureTrial("baseline", seed, choice.rate) for seed in range(spec.baseline_seeds)])
    ended = [result.train for result in results if signed_score(result) is not None]
    if len(ended) < len(results):
        findings.warnings.append(f"{len(results) - len(ended)} of {len(results)} baseline trials gave no score")
    scores = [train.score for train in ended if train.score is not None]
    if scores:
        findings.baseline = Baseline(
            learning_rate=choice.rate,
            scores=tuple(scores),
            mean=fmean(scores),
            std=stdev(scores) if len(scores) > 1 else None,
        )
    return [signed(train, score) for train, score in zip(ended, scores, strict=True)]


def _subspace_rate(campaign: Campaign, findings: _Findings, facts: TrialTrain) -> None:
    dims = dimensions(campaign.spec.search)
    d = round((dims[0] * dims[-1]) ** 0.5)
    choice = choose_rate(
        campaign.spec.subspace_rates,
        lambda rates: campaign.trials.answers([MeasureTrial("subspace-rate", 0, rate, d) for rate in rates]),
        "subspace",
    )
    findings.rate = choice.rate
    findings.warnings += choice.warnings
    if choice.score is not None:
        findings.warnings += near_chance(choice.score, facts, f"the best score at d={d}, where the rate was chosen,")


def _search(campaign: Campaign, findings: _Findings) -> SearchResult:
    rate, target = findings.rate, findings.target
    assert rate is not None
    assert target is not None
    use = RateInUse()

    def evaluate(asks: Sequence[Ask]) -> list[float | None]:
        return campaign.trials.answers([_trial(ask, rate, "guard" if use.guards(ask) else "search") for ask in asks])

    return unsigned(search(evaluate, target, campaign.spec.search), campaign.trials.facts())


def _trial(ask: Ask, rate: float, purpose: Purpose) -> MeasureTrial:
    return MeasureTrial(purpose, ask.seed, rate * ask.rate_factor, ask.d, ask.rate_factor, ask.first_look)


def _outcome(campaign: Campaign, findings: _Findings) -> MeasureOutcome:
    facts, found, results = campaign.trials.facts(), findings.search, campaign.trials.results
    assert found is not None
    trials = [result for asked, result in results.items() if asked.d is not None] or list(results.values())
    full_dim = next((r.train.full_dim for r in trials if r.train.full_dim is not None), 0)
    d90 = found.d if found.status in ("found", "met-at-lowest") else None
    return MeasureOutcome(
        metric=str(facts.metric),
        higher_is_better=facts.higher_is_better,
        chance=facts.chance or 0.0,
        num_train=facts.num_train or 0,
        num_eval=facts.num_eval or 0,
        full_dim=full_dim,
        baseline=findings.baseline,
        target=None if findings.target is None else signed(facts, findings.target.value),
        subspace_learning_rate=findings.rate,
        search=found,
        d90=d90,
        share=d90 / full_dim if d90 and full_dim else None,
        artefact_bytes=campaign.artefact_bytes(d90),
        warnings=tuple(findings.warnings),
        cost=campaign.trials.cost(),
        trials=tuple(row(asked, result) for asked, result in results.items()),
    )
