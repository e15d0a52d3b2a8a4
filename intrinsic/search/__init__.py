"""The search for d: pure, no torch, no disk. See `adaptive` for the steps and `fit` for the statistics."""

from __future__ import annotations

from intrinsic.records import SearchResult
from intrinsic.search.adaptive import explore
from intrinsic.search.conclusion import conclude, no_baseline
from intrinsic.search.grid import dimensions
from intrinsic.search.ledger import Ask, Evaluate, Ledger
from intrinsic.search.target import Target, make_target
from intrinsic.search.words import Words
from intrinsic.spec import SearchSpec

__all__ = ["Ask", "Evaluate", "SearchResult", "Target", "Words", "dimensions", "make_target", "no_baseline", "search"]


def search(evaluate: Evaluate, target: Target, spec: SearchSpec, words: Words | None = None) -> SearchResult:
    """The smallest d whose expected score f(d) reaches the target, with an interval.

    f is taken to rise with d but for noise; scores are signed so that higher is better. `evaluate` gets batches
    of asks and answers each with a score, -inf for a diverged trial, None for a lost one (see `Evaluate`). The same
    answers lead to the same asks and the same result, so that a measurement can be resumed by running it again.

    The interval is a central credible interval for the continuous crossing log2 d at spec.confidence; it carries the
    baseline's uncertainty, and is widened to hold the reported d, a dimension of the grid at or just above the
    crossing. Its coverage is tested on simulated curves (tests/search/test_search_coverage.py).

    kind `adaptive` is described in `intrinsic.search.adaptive`. kind `grid` is the papers' protocol (Li et al.
    2018): every dimension of the grid with all its seeds, no rate guard; d is the smallest whose mean reaches
    the target. Deviation: the papers give no interval; here both kinds share one.

    words: how the result's message speaks to the user; left out, as to one of `intrinsic measure`.
    """
    dims, ledger = dimensions(spec), Ledger(evaluate, target, spec, words)
    if spec.kind == "grid":
        ledger.ask([Ask(d, seed) for d in dims for seed in range(spec.seeds)])
        for d in dims:
            ledger.fill(d, spec.seeds)  # in place of lost trials
    else:
        explore(ledger, dims)
    return conclude(ledger, dims)
