"""The function that a message names, and the subspace that training starts from, built by the same steps."""

from __future__ import annotations

from typing import cast

import torch

from intrinsic.certificate.message import Message
from intrinsic.certificate.networks import Network, NetworkBuilder
from intrinsic.certificate.scales import base_scales
from intrinsic.certificate.spec import Grid, Setting
from intrinsic.errors import CertificateError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.base import Trainable
from intrinsic.seeds import derive
from intrinsic.spec import MethodSpec, SeedSpec, SubspaceSettings
from intrinsic.subspace.core import CORE, Core

MOST_DENSE_ENTRIES = 2**33
"""The most entries of a dense projection, which takes minutes to draw; the others cost little whatever their size."""


def lay_out(network: Network, setting: Setting, dim: int, grid: Grid, seed: int) -> Trainable:
    """A subspace of `dim` coordinates over all of the network, a lambda a tensor; theta_d starts at 0.

    Raises SpecError for a dimension that the network cannot meet.
    """
    tensors, full_dim = sizes(network)
    if not 1 <= dim <= full_dim - tensors:
        raise SpecError(f"expected 1 to {full_dim - tensors} coordinates for this network, got {dim}")
    if setting.projection == "dense" and dim * full_dim > MOST_DENSE_ENTRIES:
        raise SpecError(f"a dense projection of {dim} x {full_dim} entries is too large to check: take 'hashed'")
    subspace = SubspaceSettings(
        subspace_dim=dim + tensors,
        projection=setting.projection,
        structure_aware=True,  # the lambdas carry the scales that theta_0 gives; without SAID nobody trains them
        lambdas="tensor",
        head="in-subspace",
        parameters="all",
    )
    root = derive(grid.seed, "certificate", "projection", seed)
    return attach(network.loaded, MethodSpec(name="subspace", subspace=subspace), SeedSpec(projection=root))


def sizes(network: Network) -> tuple[int, int]:
    """The (number of tensors, number of weights) that are trained."""
    trained = [p for p in network.loaded.model.parameters() if p.requires_grad]
    return len(trained), sum(p.numel() for p in trained)


def rebuild(builder: NetworkBuilder, message: Message) -> Network:
    """The network that the message names, from nothing but it and the grid. Raises CertificateError, SpecError."""
    setting = builder.grid.settings[message.setting]
    network = builder.network(setting, message.seed)
    expected = sizes(network)[0] if setting.structure_aware else 0
    if len(message.scales) != expected:
        raise CertificateError(
            f"expected {expected} factors in the message, one a tensor with structure and none without, "
            f"got {len(message.scales)}"
        )
    lay_out(network, setting, len(message.levels), builder.grid, message.seed)
    core = cast(Core, getattr(network.loaded.model, CORE))
    assert core.lambdas is not None
    with torch.no_grad():
        core.theta.copy_(torch.tensor(message.values, dtype=core.theta.dtype)[torch.tensor(message.levels)])
        factors = torch.tensor(message.scales or (1.0,), dtype=core.lambdas.dtype)
        core.lambdas.copy_(base_scales(core).to(core.lambdas) * factors)
    return network
