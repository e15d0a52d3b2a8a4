"""The class Subspace: a random subspace laid over the parameters of any module."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.projections import DEFAULT_CACHE_BYTES
from intrinsic.projections.base import whole
from intrinsic.spec import Head, Lambdas
from intrinsic.subspace import artefact
from intrinsic.subspace.artefact import FORM, SEED, Fingerprint, Settings
from intrinsic.subspace.core import CORE, Core, ProjectionSpec
from intrinsic.subspace.layout import HeldTensor, Selection, check_supported, choose, layers_of, tensors_of
from intrinsic.subspace.manifest import TensorRole, TensorRow, pack
from intrinsic.subspace.reload import check_base, check_dtypes, check_settings

FREE, BUFFER = "free.", "buffer."
"""Prefixes of the names of a free head's tensors and of buffers in a state."""


@dataclass(frozen=True)
class Upkeep:
    """The settings that change time and memory and no number; see :class:`Subspace`."""

    cache_bytes: int
    regenerate: bool


class Subspace:
    """A random subspace over a model's parameters: W_t = W0_t + lambda_t P_t theta_d, theta_d trained in W_t's place.

    P_t in R^{n_t x d'} is the projection's matrix for the tensor t, keyed by t's canonical name; theta_d in
    R^d' starts at 0 and every lambda at 1, so the model starts as it was. With structure_aware (SAID of
    Aghajanyan et al. 2020, arXiv:2012.13255) there is one lambda a layer (see
    :func:`intrinsic.subspace.layout.layer_of`), or one a tensor; without it (DID of Li et al. 2018,
    arXiv:1804.08838) none. The budget is exact, subspace_dim = d' + number of lambdas. Deviations from the
    papers: rows of P, not columns, have unit norm (see :class:`intrinsic.projections.Projection`), and the
    lambdas are paid for out of d.

    The model is taken over in place: `model(**batch)` computes with the W_t, `model.parameters()` holds theta_d
    and the lambdas (of shape [d'] and [L], at least float32 whatever the model's precision) and
    `model.state_dict()` holds them instead of the selected weights. Tied weights are one tensor, named by
    the alphabetically first of their names. Buffers, parameters that are not of a float type and parameters
    that do not require a gradient are left alone. The W_t are made once an optimiser step, on the first
    forward after theta_d has changed, and reused by eval, generate and micro-batches.

    model          any nn.Module, not yet wrapped by DDP or torch.compile (wrap it afterwards)
    subspace_dim   d, at most the full dimension D = sum of n_t
    projection     a name in intrinsic.projections.PROJECTIONS; projection_options are passed to it
    head           "in-subspace"; "free": trained as it is, outside of the budget; "frozen".
                   The head is what lies below the parameter-name prefixes head_names
    parameters     those that lie in the subspace: None for all, name -> bool, or a list of glob patterns
    seed           the projection's seed
    lambdas        "layer" or "tensor": what has a lambda of its own
    cache_bytes    memory that the projection may keep between steps, in bytes
    regenerate     keep no weights: a part of the model gets its W_t for as long as it computes, and the backward pass
                   makes them again. Same numbers, less memory (theta_0, one part's weights and gradients,
                   the activations), more time: P is applied twice a step, and in every forward pass of eval

    Raises SpecError for settings that are wrong or that the model cannot meet.

    Known limits. `model.save_pretrained` and `torch.save(model.state_dict())` keep theta_d without theta_0: use
    :meth:`save_pretrained`, or :meth:`merge` first. Reentrant gradient checkpointing needs inputs that require a
    gradient where the embeddings are not in the subspace (transformers sees to it for token models; elsewhere torch
    warns), and static_graph=True under DDP (refused otherwise). An nn.Sequential at the root gains one last child.
    With regenerate=True a weight can be computed with only where the module that holds it, or one around it, is
    called (SpecError elsewhere); torch.compile is refused; the copies that autocast makes in lower precision stay, and
    so do the weights of recurrent layers. Recurrent layers are tested on the CPU only. nn.DataParallel and FSDP are
    not supported.
    """

    model: nn.Module
    """The model that the subspace was laid over."""
    full_dim: int
    """D, the number of weights that are moved."""
    settings: Settings
    """The settings, with all of the projection's options."""

    def __init__(
        self,
        model: nn.Module,
        subspace_dim: int,
        projection: str = FORM.projection,
        structure_aware: bool = FORM.structure_aware,
        head: Head = FORM.head,
        parameters: Selection = None,
        seed: int = SEED,
        lambdas: Lambdas = FORM.lambdas,
        head_names: Sequence[str] = (),
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        projection_options: Mapping[str, float] | None = None,
        regenerate: bool = False,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise SpecError(f"model must be a torch.nn.Module, got {model!r:.60}: give the module itself")
        settings = Settings.checked(
            subspace_dim=whole(subspace_dim),
            projection=projection,
            options=dict(projection_options or {}),
            seed=whole(seed),
            structure_aware=structure_aware,
            lambdas=lambdas,
            head=head,
        )
        tensors = tensors_of(model)
        roles = choose(tensors, parameters, head, head_names)
        self._attach(model, tensors, roles, settings, Upkeep(cache_bytes, regenerate))

    def _attach(
        self,
        model: nn.Module,
        tensors: dict[str, HeldTensor],
        roles: dict[str, TensorRole],
        settings: Settings,
        upkeep: Upkeep,
    ) -> None:
        _check_vacant(model)
        check_supported(model, [tensors[name] for name, role in roles.items() if role == "subspace"])
        layers, scales = layers_of(tensors, roles, settings)
        full_dim = sum(moved.base.numel() for layer in layers for moved in layer.tensors)
        spec = ProjectionSpec(
            settings.projection,
            settings.subspace_dim - scales,
            settings.seed,
            full_dim,
            upkeep.cache_bytes,
            tuple(settings.options.items()),
        )
        options = spec.build().options
        self.model, self.full_dim = model, full_dim
        self.settings = settings.model_copy(update={"options": dict(options)})
        self._tensors, self._roles = tensors, roles
        self._flags = {name: e.tensor.requires_grad for name, e in tensors.items() if e.is_parameter}
        with torch.inference_mode(False):
            self._initial = {name: self._now(name).detach().clone() for name in self._named("free", "buffer")}
            spec = replace(spec, options=tuple(options.items()))
            self._core = Core(model, layers, tensors, spec, scales, regenerate=upkeep.regenerate)
        for name in self._named("free", "frozen"):
            if self._now(name).is_floating_point() or self._now(name).is_complex():
                self._now(name).requires_grad_(roles[name] == "free")

    # ------------------------------------------------------------------ what is trained, and how much of it

    @property
    def theta(self) -> nn.Parameter:
        """theta_d, of shape [subspace_dim - number of lambdas]."""
        return self._core.theta

    @property
    def lambdas(self) -> nn.Parameter | None:
        """The lambdas, of shape [L], in the order of :attr:`lambda_names`; None without structure."""
        return self._core.lambdas

    @property
    def lambda_names(self) -> tuple[str, ...]:
        """The layers, or tensors, that the lambdas scale."""
        if self.lambdas is None:
            return ()
        if self.settings.lambdas == "layer":
            return tuple(layer.name for layer in self._core.layers)
        return tuple(moved.name for layer in self._core.layers for moved in layer.tensors)

    @property
    def subspace_dim(self) -> int:
        """d, the budget: the number of theta_d's entries and the lambdas together."""
        return sum(p.numel() for p in self._core.parameters())

    @property
    def free_parameters(self) -> int:
        """The number of a free head's entries, which are trained on top of d."""
        return sum(p.numel() for p in self.parameters()) - self.subspace_dim

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Canonical names of the tensors that lie in the subspace."""
        return tuple(self._named("subspace"))

    @property
    def materialisations(self) -> int:
        """The number of times that the weights have been made: once at the start, then once an optimiser step."""
        return self._core.materialisations

    def parameters(self) -> list[nn.Parameter]:
        """The parameters that are trained: theta_d, the lambdas, and a free head's parameters."""
        free = [self._now(name) for name in self._named("free")]
        return [*self._core.parameters(), *(p for p in free if isinstance(p, nn.Parameter))]

    def refresh(self) -> None:
        """Make the model's weights from theta_d now; needed only before reading them without a forward pass."""
        self._core.refresh(by_value=True)

    # ------------------------------------------------------------------ state in memory

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of the trained state: `theta`, `lambdas`, `free.<name>`, and the buffers, `buffer.<name>`."""
        return {name: tensor.detach().clone() for name, tensor in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load what :meth:`state_dict` gave. Raises SpecError if a name or a shape differs; then nothing changes."""
        own = self._state()
        if differing := sorted(own.keys() ^ state.keys()):
            raise SpecError(f"the state does not fit this subspace: {differing[0]!r} is only in one of the two")
        for name, tensor in own.items():
            if state[name].shape != tensor.shape:
                shape = tuple(state[name].shape)
                raise SpecError(f"{name!r} has shape {shape} in the state, expected {tuple(tensor.shape)}")
        self._copy_in(state)

    def _copy_in(self, state: Mapping[str, Tensor]) -> None:
        own = self._state()
        with torch.no_grad():
            for name, tensor in state.items():
                own[name].copy_(tensor)

    def _state(self) -> dict[str, Tensor]:
        trained: dict[str, Tensor] = dict(self._core.named_parameters())
        free = {FREE + name: self._now(name) for name in self._named("free")}
        return {**trained, **free, **{BUFFER + name: self._now(name) for name in self._named("buffer")}}

    # ------------------------------------------------------------------ taking it off again

    def merge(self) -> nn.Module:
        """Take the subspace off and return the plain model with the weights W_t.

        Its outputs stay the same, bit for bit. Parameters, ties, their order and requires_grad are as they were before
        the subspace was attached. Raises SpecError if the subspace has been taken off already.
        """
        return self._release(merge=True)

    def detach(self) -> nn.Module:
        """Take the subspace off and return the model as it was before: theta_0, the first values of head and buffers.

        Raises SpecError if the subspace has been taken off already.
        """
        return self._release(merge=False)

    def _release(self, *, merge: bool) -> nn.Module:
        model = self._core.release(merge=merge)
        for name, flag in self._flags.items():
            self._now(name).requires_grad_(flag)
        if not merge:
            with torch.no_grad():
                for name, tensor in self._initial.items():
                    self._now(name).copy_(tensor)
        return model

    # ------------------------------------------------------------------ state on disk

    def save_pretrained(self, directory: str | os.PathLike[str]) -> int:
        """Write the artefact (see :mod:`intrinsic.subspace.artefact`), a few KB, and return its size in bytes.

        It holds theta_d, the lambdas, a free head, and those buffers that training has changed.
        Raises ArtefactError if it cannot be written or holds a number that is not finite.
        """
        changed = {BUFFER + n for n in self._named("buffer") if not torch.equal(self._now(n), self._before(n))}
        kept = {n: t for n, t in self._state().items() if not n.startswith(BUFFER) or n in changed}
        rows = [TensorRow(name, tuple(e.tensor.shape), self._roles[name]) for name, e in self._tensors.items()]
        ties = {name: e.aliases[1:] for name, e in self._tensors.items() if len(e.aliases) > 1}
        return artefact.write(directory, kept, self.settings, pack(rows), ties, self.fingerprint())

    @classmethod
    def from_pretrained(
        cls,
        directory: str | os.PathLike[str],
        model: nn.Module,
        *,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
        regenerate: bool = False,
    ) -> Subspace:
        """Attach a saved subspace to its base model: the same logits, bit for bit, on the same kind of device.

        Raises ArtefactError, naming file or tensor, if the artefact is damaged or the model another one; the
        model is untouched then.
        """
        header = artefact.read_header(directory)
        _check_vacant(model)
        tensors = tensors_of(model)
        roles = check_base(header, tensors)
        expected = check_settings(header.settings, tensors, roles)
        free = {FREE + name: tensors[name].tensor for name, role in roles.items() if role == "free"}
        buffers = {BUFFER + name: tensors[name].tensor for name, role in roles.items() if role == "buffer"}
        shapes = {n: tuple(t.shape) for n, t in {**expected, **free, **buffers}.items()}
        trained = artefact.read_tensors(directory, header, shapes, frozenset(buffers))
        check_dtypes(trained, {**expected, **free, **buffers})
        made = cls.__new__(cls)
        made._attach(model, tensors, roles, header.settings, Upkeep(cache_bytes, regenerate))
        made._copy_in(trained)
        made.refresh()
        return made

    def fingerprint(self) -> Fingerprint:
        """The hashes of theta_0: what lies in the subspace, what is frozen, and the buffers as they were at first."""
        frozen = {name: self._now(name) for name in self._named("frozen")}
        bases = {moved.name: moved.base for layer in self._core.layers for moved in layer.tensors}
        buffers = {name: self._before(name) for name in self._named("buffer")}
        return Fingerprint.of({**bases, **frozen, **buffers})

    # ------------------------------------------------------------------ small things

    def _named(self, *roles: TensorRole) -> list[str]:
        return [name for name, role in self._roles.items() if role in roles]

    def _now(self, name: str) -> Tensor:
        """The tensor that the model holds under this name at present (`.to()` replaces buffers)."""
        owner, attribute = self._tensors[name].slots[0]
        held: Tensor = getattr(owner, attribute)
        return held

    def _before(self, name: str) -> Tensor:
        return self._initial[name].to(self._now(name))

    def __repr__(self) -> str:
        kind = f"SAID, {len(self.lambda_names)} lambdas" if self.settings.structure_aware else "DID"
        return (
            f"Subspace({kind}, {self.settings.projection}, d={self.subspace_dim} of D={self.full_dim}, "
            f"head {self.settings.head}, seed {self.settings.seed})"
        )


def _check_vacant(model: nn.Module) -> None:
    if hasattr(model, CORE) or any(isinstance(module, Core) for module in model.modules()):
        raise SpecError("the model carries a subspace already; merge() or detach() that one first")
