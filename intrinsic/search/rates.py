"""The learning rate that a search has in use, told from the order of its asks."""

from __future__ import annotations

from typing import Protocol


class Asked(Protocol):
    """An Ask, or the Point a record keeps of it."""

    @property
    def d(self) -> int:
        """Dimension of the subspace."""

    @property
    def rate_factor(self) -> float:
        """Factor on the subspace's learning rate."""

    @property
    def first_look(self) -> bool:
        """Whether this is a guard's first look."""


class RateInUse:
    """Follows a search, ask by ask.

    The trials at one dimension and rate are a guard's if the first of them is a guard's first look. All others are
    asked at the rate in use.
    """

    def __init__(self) -> None:
        self.factor = 1.0
        """Factor on the subspace's learning rate of the last ask which was no guard's."""
        self._guarded: dict[tuple[int, float], bool] = {}

    def guards(self, asked: Asked) -> bool:
        """Whether this ask, the next one of the search, is a guard's."""
        guarded = self._guarded.setdefault((asked.d, asked.rate_factor), asked.first_look)
        if not guarded:
            self.factor = asked.rate_factor
        return guarded
