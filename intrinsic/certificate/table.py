"""The table of bounds that one message and its counts allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from intrinsic import bounds as b
from intrinsic.bounds.catoni import DEFAULT_GRID, zhou_lotfi_bits
from intrinsic.bounds.pac_bayes import pac_bayes_bits
from intrinsic.spec import Frozen

CERTIFIED = "occam-binomial"
"""The theorem whose value the certificate claims."""


@dataclass(frozen=True)
class Evidence:
    """The numbers that a bound is computed from; nothing else enters."""

    errors: int
    samples: int
    bits: int
    delta: float

    @property
    def risk(self) -> float:
        """The share of errors."""
        return self.errors / self.samples

    @property
    def nats(self) -> float:
        """The bits in nats, rounded up."""
        return b.nats(self.bits)


class TableRow(Frozen):
    """A bound of the table."""

    name: str
    value: float
    bits: float
    """The bits it was charged: the message's, and what the theorem adds, for Catoni's grid say."""
    note: str = ""


def certified(evidence: Evidence) -> float:
    """The certified bound, by the exact binomial tail at delta 2^-bits: :func:`intrinsic.bounds.occam_binomial`."""
    return b.occam_binomial(evidence.errors, evidence.nats, evidence.samples, evidence.delta)


def rows_of(evidence: Evidence, dim: int, test: tuple[int, int]) -> tuple[TableRow, ...]:
    """The whole table in its order.

    dim: number of coordinates; test: (errors, examples) of the split that training did not see.
    """
    return (
        *all_bounds(evidence, dim),
        reference(*test, evidence.delta),
        asymptotic(dim, evidence.samples),
    )


def all_bounds(evidence: Evidence, dim: int) -> tuple[TableRow, ...]:
    """The bounds of the message. Each holds with probability 1 - delta by itself; only the first is certified."""
    bits, per = evidence.bits, evidence.bits / max(1, dim)
    risk, nats, n, delta = evidence.risk, evidence.nats, evidence.samples, evidence.delta
    maurer = pac_bayes_bits(n)
    plain: tuple[tuple[str, Callable[..., float], float, str], ...] = (
        ("occam-kl", b.occam_kl, 0.0, ""),
        ("occam-hoeffding", b.occam_hoeffding, 0.0, ""),
        ("pac-bayes-kl", b.pac_bayes_kl, maurer, "Maurer's 2 sqrt(n)"),
        ("pac-bayes-kl-exact", b.pac_bayes_kl_exact, pac_bayes_bits(n, exactly=True), "Maurer's exact xi(n)"),
        ("pac-bayes-mcallester", b.pac_bayes_mcallester, maurer, ""),
        ("pac-bayes-quadratic", b.pac_bayes_quadratic, maurer, ""),
        ("catoni-grid", b.catoni_grid, math.log2(len(DEFAULT_GRID)), f"lambda from a grid of {len(DEFAULT_GRID)}"),
        ("zhou-lotfi", b.zhou_lotfi, zhou_lotfi_bits(risk, nats, n, delta), "alpha 1.0001, lambda paid"),
    )
    rows = [TableRow(name=CERTIFIED, value=certified(evidence), bits=bits, note="certified")]
    rows += [TableRow(name=s, value=f(risk, nats, n, delta), bits=bits + more, note=why) for s, f, more, why in plain]
    if dim:
        value = b.theorem1(risk, dim, per, n, delta)
        rows.append(TableRow(name="theorem-1", value=value, bits=bits, note=f"d {dim}, {per:.3g} bits a coordinate"))
    return tuple(rows)


def reference(errors: int, samples: int, delta: float) -> TableRow:
    """The test-set bound, which needs no code but as many examples that training did not see."""
    value = b.held_out_bound(errors, samples, delta)
    return TableRow(name="test-set", value=value, bits=0, note="reference: needs examples that training did not see")


def asymptotic(dim: int, samples: int) -> TableRow:
    """The rate sqrt(d/m) of Theorem 1 without its constants, which is no bound."""
    value = b.theorem1_asymptotic(max(1, dim), samples)
    return TableRow(name="sqrt(d/m)", value=value, bits=0, note="NOT A BOUND: Theorem 1 without its constants")
