"""The tensors of a layer, grouped into as few launches as their dtypes allow, forward and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic.kernels.gpu.access import TYPES
from intrinsic.kernels.gpu.launch import addresses, alike, by_fours, one
from intrinsic.kernels.pieces import Piece


@dataclass(frozen=True, eq=False)
class Group:
    """Pieces that one launch serves."""

    pieces: list[Piece]
    out: list[Tensor]
    """The tensors that each W is written to."""
    start: torch.dtype | None
    """The dtype in which W_0 is read; None: no W_0 is read."""

    @property
    def data(self) -> Tensor:
        """Addresses of W, lambda and W_0 (of W where there is none), [pieces, 3] int64."""
        device = self.out[0].device
        scales = [one(device) if p.scale is None or not _fused(p) else p.scale for p in self.pieces]
        return addresses(self.out, scales, self._starts())

    @property
    def fours(self) -> bool:
        """Whether all of its tensors can be read and written four elements at a time."""
        return by_fours([*self.out, *self._starts()])

    def _starts(self) -> list[Tensor]:
        if self.start is None:
            return self.out
        return [piece.start for piece in self.pieces if piece.start is not None]


def groups(pieces: Sequence[Piece], made: Sequence[Tensor]) -> Iterator[Group]:
    """The pieces in groups that one launch serves; `made`: one tensor a piece, from :func:`room`."""
    for positions in alike([(piece.n, _start(piece)) for piece in pieces]):
        yield Group([pieces[i] for i in positions], [made[i] for i in positions], _start(pieces[positions[0]]))


def room(pieces: Sequence[Piece], device: torch.device) -> list[Tensor]:
    """Empty tensors for each W, or for P theta where W_0 cannot be read in the same pass.  -> [n] each"""
    return [torch.empty(piece.n, dtype=_start(piece) or torch.float32, device=device) for piece in pieces]


def finished(piece: Piece, out: Tensor) -> Tensor:
    """W of a piece, from what the kernel wrote."""
    if not _fused(piece):
        return piece.moved(out)
    return out if piece.start is None else out.view(piece.start.shape)


def pulled(grads: Sequence[Tensor], adjoint: Callable[[list[int]], Tensor]) -> Tensor:
    """P^T g of every gradient, from `adjoint` of each group (positions -> [positions, d]).  -> [len(grads), d]"""
    rows: list[Tensor] = [grads[0]] * len(grads)
    for positions in alike([(grad.numel(), grad.dtype) for grad in grads]):
        sums = adjoint(positions)
        if len(positions) == len(grads):
            return sums
        for i, row in zip(positions, sums, strict=True):
            rows[i] = row
    return torch.stack(rows)


def _fused(piece: Piece) -> bool:
    return piece.start is None or _start(piece) is not None


def _start(piece: Piece) -> torch.dtype | None:
    """The dtype in which the kernel reads W_0; None if there is none, or one that is strided or of another type."""
    if piece.start is None or piece.start.dtype not in TYPES or not piece.start.is_contiguous():
        return None
    return piece.start.dtype
