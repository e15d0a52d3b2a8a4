"""Every bound that a measurement allows, one number a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from intrinsic import bounds
from intrinsic.errors import SpecError
from intrinsic.records import MeasureResult, TrialErrors, TrialResult, TrialRow
from intrinsic.report.bounds.price import FLOAT32, WIDTHS, Function, choice_bits, code_bits
from intrinsic.report.shown import mark, rate_in_use, subspace_trials

Kind = Literal["bound", "floor", "comparison", "not a bound", "observed", "claimed", "shuffled"]
"""floor: no bound of this form on this network can be less, as if it made no error in training. comparison: a bound
that charges less than a prefix code costs. claimed: what a certificate says, unchecked here. shuffled: a bound on a
network trained on shuffled labels."""
OF_NUMBERS = ("mse", "pearson", "spearman")
ERRORS_ARE_WHOLE = 1e-6

THEOREM1, TAIL, TEST_SET = "Theorem 1", "Occam, binomial tail", "test set"
SQRT, EVALUATION, TRAINING = "sqrt(d/m)", "evaluation error", "training error"


@dataclass(frozen=True)
class Counted:
    """Errors among samples, and what the choice of the network costs in nats."""

    errors: int
    samples: int
    bits: float
    delta: float

    @property
    def risk(self) -> float:
        return self.errors / self.samples

    @property
    def rest(self) -> tuple[float, int, float]:
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
"""From training errors. Theorem 1 with every bit paid is Occam's bound by Hoeffding's inequality. None can be below the
binomial tail's at the same delta, so that the least of them holds with the same probability as each."""
FLOORS = (THEOREM1, TAIL)
COMPARISON = "Zhou et al. / Lotfi et al."


@dataclass(frozen=True)
class Row:
    """One number: what it is called, of which network, and whether it says anything."""

    name: str
    kind: Kind
    value: float
    d: int | None = None
    width: int | None = None
    """Bits a coordinate."""
    bits: float | None = None
    """The code's length, all choices paid."""
    errors: int | None = None
    samples: int | None = None


@dataclass(frozen=True)
class Claim:
    """What a certificate says of itself."""

    name: str
    value: float
    delta: float
    d: int
    bits: float


@dataclass(frozen=True)
class Material:
    """What the rows are made from."""

    result: MeasureResult
    trials: Mapping[str, TrialResult]
    """By id; may lack any."""
    errors: Mapping[str, TrialErrors]
    """By trial id."""
    delta: float
    shuffled: Mapping[str, TrialErrors] = field(default_factory=dict)
    """Counted on the trials trained again on shuffled labels, by trial id."""
    claims: tuple[Claim, ...] = ()


def rows_of(material: Material) -> list[Row]:
    """By dimension ascending; raises SpecError for a task that predicts numbers, and for a run without a network."""
    metric = material.result.result.metric
    if metric in OF_NUMBERS:
        raise SpecError(
            f"these bounds are on the share of wrong answers, and this run's metric is {metric}: choose a run on a "
            "classification task"
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
        *(Row(claim.name, "claimed", claim.value, claim.d, bits=claim.bits) for claim in material.claims),
    ]


def representatives(result: MeasureResult) -> list[TrialRow]:
    """At each dimension the trial of the least seed index that ended at the rate in use: named before its score."""
    rate, found = rate_in_use(result), dict[int, TrialRow]()
    for d, trial in subspace_trials(result.result):
        wanted = trial.role != "subspace-rate" and trial.status == "ok" and mark(trial, rate) == "in use"
        if wanted and (d not in found or trial.seed < found[d].seed):
            found[d] = trial
    return [found[d] for d in sorted(found)]


def function_of(material: Material, trial: TrialRow) -> Function | None:
    """How large the network is; None where only the missing record of its trial could tell (a free head)."""
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


def _of_dimension(material: Material, trial: TrialRow) -> Iterator[Row]:
    outcome, function = material.result.result, function_of(material, trial)
    assert trial.d is not None
    yield Row(SQRT, "not a bound", bounds.theorem1_asymptotic(trial.d, outcome.num_train), trial.d)
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
                yield Row(name, "floor", BOUNDS[name](none), function.d, width, bits, 0, none.samples)


def trained_rows(counted: Counted, d: int, width: int) -> Iterator[Row]:
    """The training error, every bound it allows, and the published form for comparison."""
    where = (d, width, counted.bits, counted.errors, counted.samples)
    yield Row(TRAINING, "observed", counted.risk, *where)
    for name, bound in BOUNDS.items():
        yield Row(name, "bound", bound(counted), *where)
    universal = bounds.universal_prior_nats(counted.bits)
    yield Row(
        COMPARISON, "comparison", bounds.zhou_lotfi(counted.risk, universal, counted.samples, counted.delta), *where
    )


def _shuffled(material: Material, trial: TrialRow) -> Iterator[Row]:
    """The bounds on the network that shuffled labels gave: its true error is that of guessing, and they must say so."""
    function, counted = function_of(material, trial), material.shuffled[trial.trial_id]
    assert function is not None  # of a network that was counted everything is known
    for count in counted.counts:
        bits = sum(code_bits(material.result, function, count.bits).values())
        one = Counted(count.train_errors, counted.num_train, bits, material.delta)
        where = (function.d, count.bits, bits, count.train_errors, counted.num_train)
        yield from (Row(f"{name}, shuffled labels", "shuffled", bound(one), *where) for name, bound in BOUNDS.items())


def _on_evaluation(material: Material, trial: TrialRow, function: Function) -> Iterator[Row]:
    errors, samples = evaluation_errors(material, trial), material.result.result.num_eval
    if errors is None:
        return
    bits = sum(choice_bits(material.result, function).values())
    where = (function.d, FLOAT32, bits, errors, samples)
    yield Row(EVALUATION, "observed", errors / samples, *where)
    yield Row(TEST_SET, "bound", BOUNDS[TAIL](Counted(errors, samples, bits, material.delta)), *where)


def evaluation_errors(material: Material, trial: TrialRow) -> int | None:
    """Of the stored trial, from its accuracy; None where no accuracy was recorded."""
    outcome, record = material.result.result, material.trials.get(trial.trial_id)
    accuracy = trial.score if outcome.metric == "accuracy" else None
    if accuracy is None and record is not None:
        accuracy = record.train.scores.get("accuracy")
    if accuracy is None:
        return None
    errors = (1 - accuracy) * outcome.num_eval
    return round(errors) if abs(errors - round(errors)) < ERRORS_ARE_WHOLE * outcome.num_eval else None


def at(rows: Sequence[Row], name: str, d: int | None = None, width: int | None = None) -> Row | None:
    """The row of this name at a dimension and a width, None for either meaning whichever comes first."""
    return next(
        (r for r in rows if r.name == name and d in (None, r.d) and width in (None, r.width)),
        None,
    )
