"""The contract of a projection P: R^d -> R^n, a random linear map rebuilt from its seed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
import torch
from torch import Tensor

from intrinsic import kernels
from intrinsic.errors import SpecError
from intrinsic.kernels.pieces import Piece

DEFAULT_CACHE_BYTES = 256 * 2**20
"""Memory that a projection may keep of its regenerated randomness, unless told otherwise: 256 MiB."""
MAX_DIM = 2**31
"""The bound that d must stay below: columns are drawn from 31 bits."""


class Projection(ABC):
    """A family of random matrices P(key) in R^{n x d}, one for every (seed, key), never stored.

    d is `dim`, the length of theta. A subspace's budget, subspace_dim, counts its lambdas too.

    Implement :meth:`_forward` and :meth:`_adjoint` in plain torch; this base checks the border and, for a family that
    has compiled kernels (`kernel`, see :mod:`intrinsic.kernels`), uses them where they serve. Both must be
    pure functions of (seed, key, n, d, input): the same bits in every process, with any number of
    threads. `key` is a 64-bit integer that names the tensor (see :func:`intrinsic.seeds.name_key`).

    Scale: rows have unit expected norm, E||P_i||^2 = 1, so a step of length s in theta moves each weight by
    about s whatever d and n are. The convention of Li et al. (2018), unit columns, is this P times
    sqrt(d / D) with D the full dimension: multiply theta by sqrt(D / d) to convert.

    cache_bytes bounds what the projection may keep of its regenerated randomness between calls, summed
    over all keys; 0 keeps nothing. Results are bit-identical either way.

    Raises SpecError for a dim, seed or cache_bytes out of range.
    """

    kernel: ClassVar[str | None] = None
    """The family of compiled kernels that computes this P, if there is one."""

    def __init__(self, dim: int, seed: int, *, cache_bytes: int = DEFAULT_CACHE_BYTES) -> None:
        dim, seed, cache_bytes = checked_dim(dim), whole(seed), whole(cache_bytes)
        if not is_whole(seed) or not 0 <= seed < 2**64:
            raise SpecError(f"projection seed must be an integer in [0, 2^64), got {seed!r}: give another seed")
        if not is_whole(cache_bytes) or cache_bytes < 0:
            raise SpecError(
                f"cache_bytes must be an integer, 0 (no cache) or more, got {cache_bytes!r}: give 0 or leave it out"
            )
        self.dim = dim
        self.seed = seed
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[object, tuple[Tensor, ...]] = OrderedDict()

    @classmethod
    def defaults(cls, full_dim: int | None, dim: int) -> dict[str, float]:
        """The options that follow from D = full_dim (None: unknown) and d = dim where they are not given."""
        return {}

    @property
    def options(self) -> dict[str, float | int | str]:
        """The settings besides dim and seed from which this projection is built again; JSON-ready."""
        return {}

    @final
    def forward(self, theta: Tensor, key: int, n: int) -> Tensor:
        """The product P(key) theta.  theta [d], float32 or float64 -> [n], same dtype and device.

        A NaN or an infinity in theta reaches every row in which its column of P is not zero.
        Raises SpecError for theta of another shape or dtype, a key that is no 64-bit integer, and n below 1.
        """
        return self.weights(theta, [Piece(key, n)])[0]

    @final
    def adjoint(self, grad: Tensor, key: int) -> Tensor:
        """The product P(key)^T grad.  grad [n], float32 or float64 -> [d], same dtype and device.

        Raises SpecError for an empty gradient, one of another shape or dtype, and a key that is no 64-bit integer.
        """
        return self.adjoints([grad], [key])[0]

    @final
    def weights(self, theta: Tensor, pieces: Sequence[Piece]) -> list[Tensor]:
        """The weights W = W_0 + lambda P(key) theta of each piece, shaped and typed like its W_0: a layer in one call.

        Raises SpecError for theta of another shape or dtype, an empty piece, or a W_0 on another device.
        """
        self._check("theta", theta, self.dim)
        pieces = [_plain(piece) for piece in pieces]
        for piece in pieces:
            self._check_piece(theta, piece)
        theta = theta.detach().contiguous().resolve_neg()
        compiled = self._find("forward", theta)
        if compiled is None:
            with full_precision(theta):
                return [piece.moved(self._forward(theta, piece.key, piece.n)) for piece in pieces]
        made: list[Tensor] = compiled(theta, self.seed, pieces, *self._kernel_options(theta))
        return made

    @final
    def adjoints(self, grads: Sequence[Tensor], keys: Sequence[int]) -> Tensor:
        """The products P(key)^T g for each g, all of one dtype and device.  -> [len(grads), d]

        Raises SpecError for gradients of other shapes or dtypes, of several dtypes or devices, and for none.
        """
        keys = [whole(key) for key in keys]
        if not grads or len(grads) != len(keys):
            raise SpecError(f"expected one key for each of one or more gradients, got {len(grads)} and {len(keys)}")
        for grad, key in zip(grads, keys, strict=True):
            self._check("grad", grad, None)
            self._check_key(key)
        if kinds := {(grad.dtype, grad.device) for grad in grads} - {(grads[0].dtype, grads[0].device)}:
            dtype, device = min(kinds, key=str)
            raise SpecError(
                f"gradients must share dtype and device, got {grads[0].dtype} on {grads[0].device} and {dtype} on "
                f"{device}: pull them back in several calls"
            )
        flat = [grad.detach().contiguous().resolve_neg() for grad in grads]  # kernels read memory as it lies
        compiled = self._find("adjoint", flat[0])
        if compiled is None:
            with full_precision(flat[0]):
                return torch.stack([self._adjoint(grad, key) for grad, key in zip(flat, keys, strict=True)])
        pulled: Tensor = compiled(flat, self.seed, keys, self.dim, *self._kernel_options(flat[0]))
        return pulled

    @final
    def to_dense(self, key: int, n: int) -> Tensor:
        """The matrix P(key), float64 [n, d], by plain torch: for tests and small problems, as it takes 8 n d bytes."""
        eye = torch.eye(self.dim, dtype=torch.float64)
        return torch.stack([self._forward(column.contiguous(), key, n) for column in eye], dim=1)

    @abstractmethod
    def _forward(self, theta: Tensor, key: int, n: int) -> Tensor: ...

    @abstractmethod
    def _adjoint(self, grad: Tensor, key: int) -> Tensor: ...

    def _kernel_options(self, like: Tensor) -> tuple[Any, ...]:
        """The arguments of the compiled kernels besides (seed, key, d)."""
        return ()

    def _find(self, direction: str, like: Tensor) -> Callable[..., Any] | None:
        if self.kernel is None:
            return None
        return kernels.find(f"{self.kernel}_{direction}", like.device, like.dtype)

    def _cached(self, label: object, build: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """The result of build(), or of an earlier call with the same label, kept while cache_bytes allows."""
        if label in self._cache:
            self._cache.move_to_end(label)
            return self._cache[label]
        made = build()
        held = sum(_nbytes(t) for t in self._cache.values())
        if held + _nbytes(made) <= self.cache_bytes:  # keep the first ones: cyclic access defeats LRU
            self._cache[label] = made
        return made

    @staticmethod
    def _check(what: str, x: Tensor, length: int | None) -> None:
        """Raise SpecError unless x is a vector of this length (None: any but 0) and of a dtype that is served."""
        if not isinstance(x, Tensor) or x.layout != torch.strided:
            got = x.layout if isinstance(x, Tensor) else type(x).__name__
            raise SpecError(
                f"{what} must be a dense tensor, got {got}: convert it with torch.as_tensor, or .to_dense()"
            )
        if x.ndim != 1 or (x.numel() != length if length is not None else not x.numel()):
            wanted = f"of length {length}, the projection's dim" if length is not None else "of at least one number"
            raise SpecError(
                f"{what} must be a vector {wanted}, got shape {tuple(x.shape)}: flatten it, or give another"
            )
        if x.dtype not in (torch.float32, torch.float64):
            raise SpecError(f"{what} must be float32 or float64, got {x.dtype}; convert it first")
        if x.is_meta:
            raise SpecError(f"{what} is on the meta device and holds no numbers; load the model first")

    @staticmethod
    def _check_key(key: int) -> None:
        if not is_whole(key) or not 0 <= key < 2**64:
            raise SpecError(f"a key must be an integer in [0, 2^64), got {key!r}: take intrinsic.seeds.name_key(name)")

    @classmethod
    def _check_piece(cls, theta: Tensor, piece: Piece) -> None:
        cls._check_key(piece.key)
        if not is_whole(piece.n) or piece.n < 1:
            raise SpecError(f"the projected length n must be an integer of at least 1, got {piece.n!r}: give another n")
        for what, given in (("lambda", piece.scale), ("W_0", piece.start)):
            if given is not None and not isinstance(given, Tensor):
                raise SpecError(f"{what} must be a tensor, got {type(given).__name__}: convert it with torch.as_tensor")
        if piece.scale is not None and (piece.scale.numel() != 1 or piece.scale.device != theta.device):
            raise SpecError(
                f"lambda must be one number on {theta.device}, got shape {tuple(piece.scale.shape)} on "
                f"{piece.scale.device}: give one a piece"
            )
        if piece.start is not None and piece.start.numel() != piece.n:
            raise SpecError(
                f"W_0 must have n = {piece.n} entries, got shape {tuple(piece.start.shape)}: give the n of this W_0"
            )
        if piece.start is not None and not piece.start.is_floating_point():
            raise SpecError(f"W_0 must be floating point, got {piece.start.dtype}: leave it out of the subspace")
        if piece.start is not None and piece.start.device != theta.device:
            raise SpecError(f"theta and W_0 must be on one device, got {theta.device} and {piece.start.device}")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(dim={self.dim}, seed={self.seed})"


def full_precision(like: Tensor) -> torch.autocast:
    """A block without autocast on the tensor's device: it must reach neither P nor its adjoint."""
    return torch.autocast(like.device.type, enabled=False)


def checked_dim(dim: int) -> int:
    """The dimension as Python's own integer. Raises SpecError unless it is one from 1 to 2^31 - 1."""
    dim = whole(dim)
    if not is_whole(dim) or not 1 <= dim < MAX_DIM:
        raise SpecError(f"dim must be an integer in [1, 2^31), got {dim!r}: give another d")
    return dim


def whole(value: Any) -> Any:
    """The value, one of NumPy's integers turned into Python's."""
    return int(value) if isinstance(value, np.integer) else value


def _plain(piece: Piece) -> Piece:
    """The piece with Python's own integers, which ctypes takes."""
    if type(piece.key) is type(piece.n) is int:
        return piece
    return replace(piece, key=whole(piece.key), n=whole(piece.n))


def is_whole(value: object) -> bool:
    """Whether the value is one of Python's integers and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)


def _nbytes(tensors: tuple[Tensor, ...]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
