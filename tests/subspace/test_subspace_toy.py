"""Known answer: Li et al. (2018, section 2), 1000 variables of which ten sums are asked for, has dimension 10."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from intrinsic.subspace import Subspace

D, GROUPS = 1000, 10


class TenSums(nn.Module):
    """loss = sum_{k=1}^{10} (k - sum of the k-th hundred of the variables)^2: a solution space of dimension 990."""

    def __init__(self) -> None:
        super().__init__()
        self.x = nn.Parameter(torch.zeros(D, dtype=torch.float64))

    def forward(self) -> Tensor:
        sums = self.x.view(GROUPS, -1).sum(1)
        return (sums - torch.arange(1, GROUPS + 1)).pow(2).sum()


def trained(subspace_dim: int, projection: str, seed: int) -> float:
    """The loss after LBFGS in a subspace: for a quadratic, the best the subspace has."""
    model = TenSums()
    subspace = Subspace(model, subspace_dim, projection, structure_aware=False, seed=seed)
    optimizer = torch.optim.LBFGS(
        subspace.parameters(), max_iter=300, tolerance_grad=1e-14, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = model()
        loss.backward()
        return loss

    optimizer.step(closure)
    return model().item()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("projection", ["dense", "sparse", "fastfood", "hashed", "kronecker"])
def test_the_dimension_of_ten_sums_is_ten(projection: str, seed: int) -> None:
    losses = {d: trained(d, projection, seed) for d in (1, 5, 9, 10, 11, 16)}
    assert [d for d, loss in losses.items() if loss < 1e-6] == [10, 11, 16], losses
