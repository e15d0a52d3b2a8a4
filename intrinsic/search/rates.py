"""Which learning rate a search has in use, told from the order in which it asked."""

from __future__ import annotations

from typing import Protocol


class Asked(Protocol):
    """An Ask, or the Point a record keeps of it."""

    @property
    def d(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def rate_factor(self) -> float: ...


class RateInUse:
    """Follows a search, ask by ask.

    The trials at one dimension and rate are a guard's if the first of them was a guard's first look, which has
    the index that no other trial has (see `Ledger`). All others are asked at the rate in use.
    """

    def __init__(self, seeds: int) -> None:
        """seeds: SearchSpec.seeds."""
        self.factor = 1.0
        """On the subspace's learning rate: that of the last ask which was no guard's."""
        self._look = seeds
        self._guarded: dict[tuple[int, float], bool] = {}

    def guards(self, asked: Asked) -> bool:
        """Is this ask, the next one of the search, a guard's?"""
        guarded = self._guarded.setdefault((asked.d, asked.rate_factor), asked.seed == self._look)
        if not guarded:
            self.factor = asked.rate_factor
        return guarded
