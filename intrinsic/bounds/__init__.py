"""Generalization bounds: pure functions, floats in, a float out, never better than the theorem.

Every bound is a function of an empirical risk (or a number of errors), a complexity in nats, the number of samples and
delta, the probability with which the bound may fail. Arguments are moved outward by one unit in the last place before
use, results are rounded outward once (`intrinsic.bounds.exact`): `errors / samples`, `bits * math.log(2)`
and `0.05` are safe as they stand. Invalid arguments raise SpecError. Nothing here imports torch or numpy.
"""

from __future__ import annotations

from intrinsic.bounds.catoni import catoni, catoni_grid, zhou_lotfi
from intrinsic.bounds.inverse import binomial_tail_inverse, clopper_pearson, kl_inverse
from intrinsic.bounds.occam import held_out_bound, nats, occam_binomial, occam_hoeffding, occam_kl, occam_split
from intrinsic.bounds.pac_bayes import (
    pac_bayes_kl,
    pac_bayes_kl_exact,
    pac_bayes_mcallester,
    pac_bayes_quadratic,
    pac_bayes_split,
    universal_prior_nats,
)
from intrinsic.bounds.theorem1 import theorem1, theorem1_asymptotic, theorem1_gap
from intrinsic.bounds.tokens import (
    Sample,
    Smoothing,
    bounded_hoeffding,
    bounded_kl,
    document_bits_per_token,
    token_bits_per_token,
)

__all__ = [
    "Sample",
    "Smoothing",
    "binomial_tail_inverse",
    "bounded_hoeffding",
    "bounded_kl",
    "catoni",
    "catoni_grid",
    "clopper_pearson",
    "document_bits_per_token",
    "held_out_bound",
    "kl_inverse",
    "nats",
    "occam_binomial",
    "occam_hoeffding",
    "occam_kl",
    "occam_split",
    "pac_bayes_kl",
    "pac_bayes_kl_exact",
    "pac_bayes_mcallester",
    "pac_bayes_quadratic",
    "pac_bayes_split",
    "theorem1",
    "theorem1_asymptotic",
    "theorem1_gap",
    "token_bits_per_token",
    "universal_prior_nats",
    "zhou_lotfi",
]
