"""Bounds for losses in [a, b], and bits per token of a language model whose predictions are smoothed.

Assumptions as in `occam`, but for the loss: a prefix code fixed beforehand, complexity = L ln 2 nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext

from intrinsic.bounds.arguments import (
    paid,
    read_complexity,
    read_delta,
    read_integer,
    read_number,
    read_positive,
    read_samples,
    refuse,
)
from intrinsic.bounds.exact import ULP, down, exact, leading_zeros, log2, up
from intrinsic.bounds.inverse import kl_root

Interval = tuple[float, float]
TINY = Decimal("1e-50")
"""A relative margin above the rounding of a product, which shows once the interval's end cancels the rest."""
ROUNDING = 1e-9
"""The distance, in widths of the range, that a mean of losses summed in floating point may lie outside it."""


@dataclass(frozen=True)
class Smoothing:
    """Smoothed predictions (1 - alpha) p_model + alpha / V: no token costs more than log2(V / alpha) bits.

    vocabulary: V, the number of tokens; alpha: in (0, 1). If the data choose it, its bits belong in the complexity.
    """

    vocabulary: int
    alpha: float

    @exact
    def interval(self) -> Interval:
        """The least and the greatest loss in bits, rounded outward."""
        vocabulary, alpha = self._read()
        return down(_least_loss(vocabulary, alpha)), up(log2(vocabulary / alpha))

    @exact
    def width(self) -> Decimal:
        """The length of the interval, log2(1 + (1 - alpha) V / alpha), to working precision."""
        vocabulary, alpha = self._read()
        return log2(1 + (1 - alpha) * vocabulary / alpha)

    def _read(self) -> tuple[int, Decimal]:
        alpha = read_positive(self.alpha, "the smoothing's alpha")
        if alpha >= 1:
            refuse("the smoothing's alpha", "a number between 0 and 1, both excluded", self.alpha)
        return read_samples(self.vocabulary, "the size of the vocabulary"), alpha


@dataclass(frozen=True)
class Sample:
    """The units, documents or tokens, that a bound counts."""

    units: int
    """The number of units in the data."""
    evaluated: int | None = None
    """The number on which the loss was measured, drawn at random, with or without replacement, after the model was
    chosen; None: all."""


@exact
def bounded_hoeffding(risk: float, complexity: float, samples: int, delta: float, interval: Interval) -> float:
    """Hoeffding's bound for a loss in interval = (a, b): risk + (b - a) sqrt((complexity + ln(1/delta)) / (2n)).

    Source: Hoeffding 1963, Theorem 2, and a union over the code.
    """
    observed, low, high = _read_loss(risk, interval)
    return up(observed + (high - low) * (paid(complexity, delta) / (2 * read_samples(samples))).sqrt())


@exact
def bounded_kl(risk: float, complexity: float, samples: int, delta: float, interval: Interval) -> float:
    """The relative entropy's bound for a loss in interval = (a, b); never above Hoeffding's.

    Formula: a + (b - a) sup{p : kl((risk - a)/(b - a) || p) <= (complexity + ln(1/delta)) / n}.

    Source: Hoeffding 1963, Theorem 1, and a union over the code.
    """
    observed, low, high = _read_loss(risk, interval)
    width, nats = high - low, paid(complexity, delta) / read_samples(samples)
    above_low = width * kl_root((observed - low) / width, nats, "upper")
    below_high = width * kl_root((high - observed) / width, nats, "lower")  # the same p, from the other end
    if above_low < below_high:
        return up(low + above_low * (1 + TINY))
    return up(high - below_high * (1 - TINY))


def document_bits_per_token(
    bits_per_token: float, complexity: float, sample: Sample, delta: float, smoothing: Smoothing
) -> float:
    """A bound on a new document's bits per token: bits_per_token + Delta sqrt((complexity + ln(1/delta)) / (2m)).

    bits_per_token is the mean, over the documents, of each document's mean loss a token under smoothed predictions;
    Delta is `smoothing.width()`; m = sample.units counts documents, which are i.i.d. (their tokens need not be).

    Where only n = sample.evaluated of the documents were measured, delta is shared, r = n/(n+m), and the gap is
        Delta sqrt((complexity + ln(1/(r delta))) / (2m)) + Delta sqrt(ln(1/((1-r) delta)) / (2n)).

    Source: Lotfi et al. 2024a, "Non-vacuous generalization bounds for large language models".
    """
    return _smoothed(bits_per_token, complexity, sample, delta, smoothing)


def token_bits_per_token(
    bits_per_token: float, complexity: float, sample: Sample, delta: float, smoothing: Smoothing
) -> float:
    """A bound on the bits of next tokens: the formula of `document_bits_per_token`, m = sample.units counting tokens.

    Bounded is (1/m) sum_i E[loss of token i | tokens before i]: the expected loss of another next token after each of
    the contexts seen in training, not the loss on new documents. No independence is assumed: the differences
    are a martingale's and Azuma's inequality takes the place of Hoeffding's.

    Source: Lotfi et al. 2024b, "Unlocking tokens as data points for generalization bounds on larger language models";
    the subsampling term is that of 2024a.
    """
    return _smoothed(bits_per_token, complexity, sample, delta, smoothing)


@exact
def _smoothed(bits: float, complexity: float, sample: Sample, delta: float, smoothing: Smoothing) -> float:
    for value, kind in ((sample, Sample), (smoothing, Smoothing)):
        if not isinstance(value, kind):
            refuse(kind.__name__.lower(), f"a {kind.__name__}", value)
    observed, _, _ = _read_loss(bits, smoothing.interval())
    units, all_of_delta = read_samples(sample.units, "sample.units"), -read_delta(delta).ln()
    nats = read_complexity(complexity)
    if sample.evaluated is None:
        return up(observed + smoothing.width() * ((nats + all_of_delta) / (2 * units)).sqrt())
    part = read_integer(sample.evaluated, "sample.evaluated", 1, units)
    whole = Decimal(part + units)
    of_code, of_draw = all_of_delta + (whole / part).ln(), all_of_delta + (whole / units).ln()
    gap = ((nats + of_code) / (2 * units)).sqrt() + (of_draw / (2 * part)).sqrt()
    return up(observed + smoothing.width() * gap)


def _least_loss(vocabulary: int, alpha: Decimal) -> Decimal:
    """-log2(1 - alpha (1 - 1/V)), to all digits for a small alpha."""
    lost = alpha * (vocabulary - 1) / vocabulary
    with localcontext() as context:
        context.prec += leading_zeros(lost)
        return -log2(1 - lost)


def _read_loss(risk: float, interval: Interval) -> tuple[Decimal, Decimal, Decimal]:
    """The mean loss from above, in the interval if only rounding put it outside; and the interval from outside."""
    if not isinstance(interval, tuple) or len(interval) != 2:
        refuse("the loss's interval", "a pair (a, b)", interval)
    a, b = (read_number(end, "an end of the loss's interval", "a finite number") for end in interval)
    if not -math.inf < a < b < math.inf:
        refuse("the loss's interval", "(a, b) with a < b, both finite", interval)
    mean = read_number(risk, "the mean loss", "a finite number")
    if not a - ROUNDING * (b - a) <= mean <= b + ROUNDING * (b - a):
        refuse("the mean loss", f"within the loss's interval, {a:g} to {b:g}", risk)
    value, low, high = Decimal(mean), Decimal(a), Decimal(b)
    value, low, high = value + abs(value) * ULP, low - abs(low) * ULP, high + abs(high) * ULP
    return min(max(value, low), high), low, high
