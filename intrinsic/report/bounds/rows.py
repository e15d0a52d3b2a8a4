"""Every bound that a measurement allows, one number a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from intrinsic import bounds
from intrinsic.errors import SpecError
from intrinsic.problems.metrics import METRICS
from intrinsic.records import MeasureResult, TrialErrors, TrialResult, TrialRow
from intrinsic.report.bounds.price import FLOAT32, WIDTHS, Function, choice_bits, code_bits
from intrinsic.report.shown import mark, rate_in_use, subspace_trials

Kind = Literal["bound", "floor", "comparison", "not a bound", "observed", "claimed", "shuffled"]
"""The meaning of a number.

floor: the least that a bound of this form could be, as if the network made no error in training. comparison: a bound
that charges less than a prefix code costs. claimed: the statement of a certificate, unchecked here. shuffled: a bound
on a network trained on shuffled labels.
"""
ERRORS_ARE_WHOLE = 1e-6
"""Share of the examples by which errors reckoned from an accuracy may miss a whole number."""

THEOREM1, TAIL, TEST_SET = "Theorem 1", "Occam, binomial tail", "test set"
SQRT, EVALUATION, TRAINING = "sqrt(d/m)", "evaluation error", "training error"


@dataclass(frozen=True)
class Counted:
    """Errors among samples, with the bits and the probability that a bound is given besides."""

    errors: int
    samples: int
    bits: float
    """Bits that the choice of the network costs."""
    delta: float
    """The probability with which the bound may fail."""

    @property
    def risk(self) -> float:
        """The share of errors."""
        return self.errors / self.samples

    @property
    def rest(self) -> tuple[float, int, float]:
        """The cost in nats, the samples and delta, as the functions of :mod:`intrinsic.bounds` take them."""
        return bounds.nats(self.bits), self.samples, self.delta


BOUNDS: dict[str, Callable[[Counted], float]] = {
    THEOREM1: lambda c: bounds.occam_hoeffding(c.risk, *c.rest),
    "Occam, kl": lambda c: bounds.occam_kl(c.risk, *c.rest),
    TAIL: lambda c: bounds.occam_binomial(c.errors, *c.rest),
    "PAC-Bayes, McAllester": lambda c: bounds.pac_bayes_mcallester(c.risk, *c.rest),
    "PAC-Bayes, quadratic": lambda c: bounds.pac_bayes_quadratic(c.risk, *c.rest),
    "PAC-Bayes, kl": lambda c: bounds.pac_bayes_kl_exact(c.risk, *c.rest),
    "Catoni, lambda of a grid": lambda c: bounds.catoni_grid(c.risk, *c.rest),
}
"""The bounds from training errors, by name. Theorem 1 with every bit paid is Occam's bound by Hoeffding's inequality.
None can be below the binomial tail's at the same delta, so that the least holds with the same probability as each."""
FLOORS = (THEOREM1, TAIL)
"""The bounds whose least value is shown where training errors were not counted."""
COMPARISON = "Zhou et al. / Lotfi et al."
"""Name of the bound in its published form, which charges less than a prefix code costs."""


@dataclass(frozen=True)
class BoundRow:
    """A number of the report: a bound, or what bounds are compared with."""

    name: str
    kind: Kind
    value: float
    """The number, on the scale of an error rate."""
    d: int | None = None
    """Dimension of the network's subspace."""
    width: int | None = None
    """Bits a coordinate."""
    bits: float | None = None
    """Bits that the choice of the network costs, all choices paid."""
    errors: int | None = None
    """Errors counted among the samples."""
    samples: int | None = None


@dataclass(frozen=True)
class Claim:
    """Statement of a certificate about its own network."""

    name: str
    value: float
    """The bound."""
    delta: float
    """The probability with which it may fail."""
    d: int
    """Dimension of the network's subspace."""
    bits: float
    """Bits of the network's message."""


@dataclass(frozen=True)
class Material:
    """Run, trials, errors and claims from which the rows are made."""

    result: MeasureResult
    trials: Mapping[str, TrialResult]
    """The trials' records by trial id; any may be missing."""
    errors: Mapping[str, TrialErrors]
    """The errors counted on trials trained again, by trial id."""
    delta: float
    """The probability with which a bound may fail."""
    shuffled: Mapping[str, TrialErrors] = field(default_factory=dict)
    """The errors counted on trials trained again on shuffled labels, by trial id."""
    claims: tuple[Claim, ...] = ()
    """Statements of certificates about the same data."""


def rows_of(material: Material) -> list[BoundRow]:
    """Every row, by ascending dimension.

    Raises SpecError for a metric that does not count errors, and for a run without a trained network.
    """
    metric = material.result.result.metric
    if metric not in METRICS:
        raise SpecError(f"this run's metric {metric!r} belongs to a package that is not installed here: install it")
    if not METRICS[metric].counts_errors:
        raise SpecError(
            f"these bounds are on the share of wrong answers, and this run's metric is {metric}: choose a run on a "
            "task whose answers are right or wrong"
        )
    trials = representatives(material.result)
    if not trials:
        raise SpecError(
            f"no trial in a subspace ended with a score (the search ended as {material.result.result.search.status}): "
            "there is no network to bound the error of, measure again"
        )
    return [
        *(row for trial in trials for row in _of_dimension(material, trial)),
        *(row for trial in trials if trial.trial_id in material.shuffled for row in _shuffled(material, trial)),
        *(BoundRow(claim.name, "claimed", claim.value, claim.d, bits=claim.bits) for claim in material.claims),
    ]


def representatives(result: MeasureResult) -> list[TrialRow]:
    """The trials that stand for their dimensions, ascending, each chosen without regard to its score.

    It is the one with the least seed index among those that ended well at the rate in use.
    """
    rate, found = rate_in_use(result), dict[int, TrialRow]()
    for d, trial in subspace_trials(result.result):
        wanted = trial.role != "subspace-rate" and trial.status == "ok" and mark(trial, rate) == "in use"
        if wanted and (d not in found or trial.seed < found[d].seed):
            found[d] = trial
    return [found[d] for d in sorted(found)]


def function_of(material: Material, trial: TrialRow) -> Function | None:
    """The network of a trial; None where only the missing record of the trial could tell its size (a free head)."""
    spec = material.result.run.spec
    counted = material.errors.get(trial.trial_id) or material.shuffled.get(trial.trial_id)
    record = material.trials.get(trial.trial_id)
    assert trial.d is not None
    tensors = 2 if spec.structure_aware else 1
    coordinates = trial.d
    if counted is not None:
        coordinates, tensors = counted.coordinates, counted.tensors
    elif record is not None and record.train.parameters_trained is not None:
        coordinates = record.train.parameters_trained
    elif spec.head == "free":
        return None
    history = 1 if record is None else len(record.train.history)
    evaluations = max(1, history) if spec.optim.policy == "best" else 1
    return Function(trial.d, trial.seed, coordinates, tensors, evaluations)


def _of_dimension(material: Material, trial: TrialRow) -> Iterator[BoundRow]:
    outcome, function = material.result.result, function_of(material, trial)
    assert trial.d is not None
    yield BoundRow(SQRT, "not a bound", bounds.theorem1_asymptotic(trial.d, outcome.num_train), trial.d)
    if function is None:
        return
    yield from _on_evaluation(material, trial, function)
    counted = material.errors.get(trial.trial_id)
    by_width = {} if counted is None or counted.learned_buffers else {c.bits: c for c in counted.counts}
    for width in WIDTHS:
        bits = sum(code_bits(material.result, function, width).values())
        if width in by_width:
            errors = by_width[width].train_errors
            yield from trained_rows(Counted(errors, outcome.num_train, bits, material.delta), function.d, width)
        else:
            none = Counted(0, outcome.num_train, bits, material.delta)
            for name in FLOORS:
                yield BoundRow(name, "floor", BOUNDS[name](none), function.d, width, bits, 0, none.samples)


def trained_rows(counted: Counted, d: int, width: int) -> Iterator[BoundRow]:
    """The training error, every bound it allows, and the published form for comparison."""
    where = (d, width, counted.bits, counted.errors, counted.samples)
    yield BoundRow(TRAINING, "observed", counted.risk, *where)
    for name, bound in BOUNDS.items():
        yield BoundRow(name, "bound", bound(counted), *where)
    universal = bounds.universal_prior_nats(counted.bits)
    yield BoundRow(
        COMPARISON, "comparison", bounds.zhou_lotfi(counted.risk, universal, counted.samples, counted.delta), *where
    )


def _shuffled(material: Material, trial: TrialRow) -> Iterator[BoundRow]:
    """The bounds on a network trained on shuffled labels, which may not be below its true error, that of guessing."""
    function, counted = function_of(material, trial), material.shuffled[trial.trial_id]
    assert function is not None  # of a network that was counted everything is known
    for count in counted.counts:
        bits = sum(code_bits(material.result, function, count.bits).values())
        one = Counted(count.train_errors, counted.num_train, bits, material.delta)
        where = (function.d, count.bits, bits, count.train_errors, counted.num_train)
        yield from (
            BoundRow(f"{name}, shuffled labels", "shuffled", bound(one), *where) for name, bound in BOUNDS.items()
        )


def _on_evaluation(material: Material, trial: TrialRow, function: Function) -> Iterator[BoundRow]:
    errors, samples = evaluation_errors(material, trial), material.result.result.num_eval
    if errors is None:
        return
    bits = sum(choice_bits(material.result, function).values())
    where = (function.d, FLOAT32, bits, errors, samples)
    yield BoundRow(EVALUATION, "observed", errors / samples, *where)
    yield BoundRow(TEST_SET, "bound", BOUNDS[TAIL](Counted(errors, samples, bits, material.delta)), *where)


def evaluation_errors(material: Material, trial: TrialRow) -> int | None:
    """The number of errors of a trial on the evaluation split, from its accuracy; None where none was recorded."""
    outcome, record = material.result.result, material.trials.get(trial.trial_id)
    accuracy = trial.score if outcome.metric == "accuracy" else None
    if accuracy is None and record is not None:
        accuracy = record.train.scores.get("accuracy")
    if accuracy is None:
        return None
    errors = (1 - accuracy) * outcome.num_eval
    return round(errors) if abs(errors - round(errors)) < ERRORS_ARE_WHOLE * outcome.num_eval else None


def at(rows: Sequence[BoundRow], name: str, d: int | None = None, width: int | None = None) -> BoundRow | None:
    """The first row of this name at a dimension and a width; None for either: at any."""
    return next(
        (r for r in rows if r.name == name and d in (None, r.d) and width in (None, r.width)),
        None,
    )
