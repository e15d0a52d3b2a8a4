"""Which asks are a guard's and which rate is in use: told from the order of the asks, checked against the ledger."""

from __future__ import annotations

import numpy as np
import pytest

from intrinsic.search import dimensions, make_target
from intrinsic.search.adaptive import explore
from intrinsic.search.ledger import Ledger
from intrinsic.search.rates import RateInUse
from intrinsic.search.simulate import SHAPES, Responder, draw_curve
from intrinsic.spec import SearchSpec, TargetSpec

SPEC = SearchSpec(low=8, high=2048, seeds=3)


def searched(respond: Responder) -> tuple[Ledger, RateInUse]:
    """A search that compares, at every ask, what is told from the order with what the ledger has in use."""
    use = RateInUse()

    def evaluate(asks):
        for ask in asks:
            assert use.guards(ask) == (ask.rate_factor != ledger.rate(ask.d)), ask
        return respond(asks)

    ledger = Ledger(evaluate, make_target(TargetSpec(), respond.baseline(4), respond.curve.floor), SPEC)
    explore(ledger, dimensions(SPEC))
    return ledger, use


@pytest.mark.parametrize("best_rate", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_guards_are_the_asks_at_a_rate_that_the_ledger_does_not_use(shape, best_rate):
    rng, switched = np.random.default_rng(11), 0
    for _ in range(8):
        curve = draw_curve(shape, rng, (30, 600))
        ledger, use = searched(Responder(curve, 0.8, rng, penalty=4.0, best_rate=best_rate))
        switched += bool(ledger.switches)
        assert use.factor == (ledger.switches[-1][1] if ledger.switches else 1.0)
    assert (switched > 0) == (best_rate != 1.0)
