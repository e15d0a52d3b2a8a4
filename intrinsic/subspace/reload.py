"""Checks that an artefact belongs to a model, all of them made before the model is touched."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from intrinsic.errors import ArtefactError, SpecError
from intrinsic.projections import make_projection
from intrinsic.subspace.artefact import Fingerprint, Header, Settings
from intrinsic.subspace.layout import DTYPES, HeldTensor, layers_of
from intrinsic.subspace.manifest import AGAIN, TensorRole, TensorRow, unpack

SHOWN = 3
"""The most names that an error lists."""
BASE = "load the base model that the artefact was trained from"
"""The remedy for a model that is another one."""


def check_base(header: Header, tensors: Mapping[str, HeldTensor]) -> dict[str, TensorRole]:
    """The role of each tensor, by canonical name.

    Raises ArtefactError unless the model's tensors are those of the manifest, by name, shape, tie and value.
    """
    rows = unpack(header.manifest)
    _check_names(rows, tensors)
    for name, row in rows.items():
        _check_row(row, tensors[name], header.ties.get(name, ()))
    for name in header.ties.keys() - rows.keys():
        raise ArtefactError(f"the manifest is damaged: the tied tensor {name!r} is not among its rows: {AGAIN}")
    check_values(header.base, {n: tensors[n].tensor for n, row in rows.items() if row.role != "free"})
    return {name: row.role for name, row in rows.items()}


def _check_names(rows: Mapping[str, TensorRow], tensors: Mapping[str, HeldTensor]) -> None:
    missing, extra = sorted(rows.keys() - tensors.keys()), sorted(tensors.keys() - rows.keys())
    if missing:
        near = get_close_matches(missing[0], extra, n=1, cutoff=0.5)
        hint = f" (did it become {near[0]!r}?)" if near else ""
        raise ArtefactError(f"the model lacks {_some(missing)}, which the artefact was trained on{hint}: {BASE}")
    if extra:
        raise ArtefactError(f"the model has {_some(extra)}, which the artefact's base model had not: {BASE}")


def _check_row(row: TensorRow, held: HeldTensor, further: tuple[str, ...]) -> None:
    shape = tuple(held.tensor.shape)
    if shape != row.shape:
        raise ArtefactError(f"{row.name!r} has shape {shape} in the model, {row.shape} in the artefact: {BASE}")
    if held.aliases[1:] != tuple(further):
        now, then = held.aliases[1:] or "nothing", tuple(further) or "nothing"
        raise ArtefactError(f"{row.name!r} is tied to {now} in the model, to {then} in the artefact: {BASE}")
    if (row.role == "buffer") == held.is_parameter:
        kind = "parameter" if held.is_parameter else "buffer"
        raise ArtefactError(f"{row.name!r} is a {kind} in the model, the artefact calls it {row.role!r}: {BASE}")
    if row.role in ("subspace", "free") and (held.tensor.dtype not in DTYPES or not held.tensor.numel()):
        raise ArtefactError(
            f"{row.name!r} ({held.tensor.dtype}) cannot be {row.role!r} as the artefact has it: {AGAIN}"
        )


def check_values(saved: Fingerprint, tensors: Mapping[str, Tensor]) -> None:
    """Raise ArtefactError unless the tensors of theta_0, by name, are those whose fingerprint was saved."""
    own = Fingerprint.of(tensors)
    if own.sha256 == saved.sha256:
        return
    differing = own.differing(saved, sorted(tensors))
    which = "it does not tell which"
    if differing:
        which = f"{len(differing)} of {len(tensors)} tensors differ, {_some(differing)}"
    raise ArtefactError(
        f"the artefact was trained from other base weights: {which}; load the same revision, with the same precision "
        "and the same seed for a new head"
    )


def check_settings(
    settings: Settings, tensors: dict[str, HeldTensor], roles: dict[str, TensorRole]
) -> dict[str, Tensor]:
    """Tensors without storage that theta and the lambdas must resemble, by name.

    Raises ArtefactError for settings that the model cannot meet.
    """
    try:
        layers, scales = layers_of(tensors, roles, settings)
        bases = [moved.base for layer in layers for moved in layer.tensors]
        dim, full_dim = settings.subspace_dim - scales, sum(base.numel() for base in bases)
        options: dict[str, Any] = {**settings.options}
        make_projection(settings.projection, dim, settings.seed, full_dim=full_dim, **options)
    except SpecError as error:
        raise ArtefactError(f"the artefact's settings cannot be met ({error}): {AGAIN}") from error
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in settings.options.items())
        raise ArtefactError(
            f"the artefact's settings cannot be met (projection {settings.projection!r} does not take "
            f"{given[:200]}): {AGAIN}"
        ) from error
    dtype = torch.float64 if any(base.dtype == torch.float64 for base in bases) else torch.float32
    shapes = {"theta": dim, **({"lambdas": scales} if scales else {})}
    return {name: torch.empty(size, dtype=dtype, device="meta") for name, size in shapes.items()}


def check_dtypes(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ArtefactError for a saved tensor of another dtype than expected."""
    for name, tensor in tensors.items():
        if tensor.dtype != expected[name].dtype:
            raise ArtefactError(
                f"{name!r} is {tensor.dtype} in the artefact, expected {expected[name].dtype}: load the base model in "
                "the precision that it had, or save the artefact again"
            )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more
