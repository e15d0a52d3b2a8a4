"""What a search calls its dimensions, and what its user can change: measurements and comparisons have other flags."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.spec import SearchSpec


@dataclass(frozen=True)
class Words:
    """Each of the remedies goes on after a colon or an `and`."""

    lower: str
    """What to do where the lowest dimension is too high already."""
    higher: str
    less: str
    """What asks for a lower target."""
    rates: str
    """Where learning rates are given, as in `give lower ...`."""
    curve: str
    """What shows the score at every dimension."""
    noun: str = "dimension"
    plural: str = "dimensions"
    letter: str = "d"


def measurement_words(spec: SearchSpec) -> Words:
    """The flags of `intrinsic measure`."""
    return Words(
        lower="give smaller dimensions to --grid" if spec.grid else "lower --low",
        higher="give larger dimensions to --grid" if spec.grid else "raise --high",
        less="lower --fraction",
        rates="--subspace-rates",
        curve="see the whole curve with --search grid",
    )
