"""The chunks of a tensor for threads on the CPU: chosen by its shape alone, as the bits of a sum depend on them."""

from __future__ import annotations

ROWS_A_UNIT = 1024
"""Rows that the row-by-row projections make together; UNIT in csrc/rows.h. Fastfood's unit is a block of p rows."""

CHUNK_ROWS = 1 << 16
"""Rows that a thread takes at a time: enough to hide what taking costs."""
_MOST_SUMS, _LEAST_UNITS = 32, 8
"""The most partial sums of P^T g for one tensor, and the least units in one: each holds d float64 numbers."""


def forward_size(unit: int) -> int:
    """The number of units of `unit` rows in a chunk of P theta."""
    return max(1, CHUNK_ROWS // unit)


def adjoint_size(n: int, unit: int) -> int:
    """The number of units of `unit` rows in a chunk of P^T g, g of n entries, that is summed by itself."""
    sums = max(1, min(_MOST_SUMS, n // max(CHUNK_ROWS, _LEAST_UNITS * unit)))
    units = -(-n // unit)
    return -(-units // sums)
