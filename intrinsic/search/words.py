"""Words of a search's messages: measurements and comparisons name their sizes and settings differently."""

from __future__ import annotations

from dataclasses import dataclass

from intrinsic.spec import SearchSpec


@dataclass(frozen=True)
class Words:
    """Words of a search's messages. Each remedy is written so that it can follow a colon or an `and`."""

    lower: str
    """Remedy where the lowest dimension already reaches the target."""
    higher: str
    """Remedy where the highest dimension does not reach the target."""
    less: str
    """Remedy that lowers the target."""
    rates: str
    """Name of the setting with the learning rates, as in `give lower ...`."""
    curve: str
    """Remedy that shows the score at every dimension."""
    noun: str = "dimension"
    """Name of what is searched over."""
    plural: str = "dimensions"
    """Plural of `noun`."""
    letter: str = "d"
    """Symbol of `noun`."""


def measurement_words(spec: SearchSpec) -> Words:
    """The words for a user of `intrinsic measure`, with its flags."""
    return Words(
        lower="give smaller dimensions to --grid" if spec.grid else "lower --low",
        higher="give larger dimensions to --grid" if spec.grid else "raise --high",
        less="lower --fraction",
        rates="--subspace-rates",
        curve="see the whole curve with --search grid",
    )
