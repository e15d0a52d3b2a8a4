"""Train, make coarse, code, decode, count, bound: the best of the candidates becomes a certificate."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from intrinsic.certificate.assumptions import assumptions_of, statement
from intrinsic.certificate.build import lay_out, rebuild, sizes
from intrinsic.certificate.count import MARGIN_OF_CERTIFY, Counts, count_errors
from intrinsic.certificate.message import Encoded, Message, Terms, decode, encode
from intrinsic.certificate.networks import Network, NetworkBuilder
from intrinsic.certificate.quantise import Coarse, CoarseSubspace
from intrinsic.certificate.record import CERTIFICATE_FILE, MESSAGE_FILE, Certificate, Counted, Hashes, to_text
from intrinsic.certificate.spec import CertifySpec, Grid
from intrinsic.certificate.table import CERTIFIED, Evidence, certified, rows_of
from intrinsic.errors import Diverged, SpecError, StoreError
from intrinsic.seeds import derive
from intrinsic.subspace.artefact import replace_file
from intrinsic.tasks.base import Task
from intrinsic.training import fit

GRID_FILE = "grid.json"
"""The file with the grid and its hash, written before training."""


@dataclass(frozen=True)
class Candidate:
    """One training run to try. The message codes setting and seed by index, dim and the levels by themselves."""

    setting: int
    """The index among the grid's settings."""
    seed: int
    """The index among the grid's seeds."""
    dim: int
    """The number of coordinates."""
    kinds: int
    """The number of levels that a coordinate may take."""
    bit_weight: float
    """The weight of the code's length in the objective, times 1/m."""


@dataclass(frozen=True)
class Outcome:
    """A candidate and what it came to, counted after decoding. All but the candidate is None if training diverged."""

    candidate: Candidate
    message: Message | None
    encoded: Encoded | None
    counts: Counts | None
    bound: float | None


OnOutcome = Callable[[Outcome], None]
"""A function that is told of every outcome as it comes."""


def candidates(spec: CertifySpec) -> Iterator[Candidate]:
    """All combinations of the spec, in the order in which they are trained."""
    settings, seeds = range(len(spec.grid.settings)), range(spec.trained_seeds or spec.grid.seeds)
    return itertools.starmap(Candidate, itertools.product(settings, seeds, spec.dims, spec.kinds, spec.bit_weights))


def terms_of(grid: Grid) -> Terms:
    """The numbers of settings and seeds, which a decoder takes from the grid."""
    return Terms(settings=len(grid.settings), seeds=grid.seeds)


def certify(
    spec: CertifySpec, output_dir: str | PathLike[str], on_outcome: OnOutcome = lambda outcome: None
) -> Certificate:
    """Train every candidate, keep the lowest bound, write grid.json (before training), certificate.json, message.bin.

    Choosing among the candidates costs nothing more: all their messages share one prefix code. Raises SpecError,
    DataError and ModelError as training does, Diverged if no candidate came to an end, StoreError if the folder
    cannot be written.
    """
    builder = NetworkBuilder.open(spec.grid, spec.task)
    folder = Path(output_dir)
    freeze(spec.grid, folder)
    best: Outcome | None = None
    for candidate in candidates(spec):
        outcome = _try(builder, spec, candidate)
        on_outcome(outcome)
        if outcome.bound is not None and (best is None or best.bound is None or outcome.bound < best.bound):
            best = outcome
    if best is None:
        raise Diverged("training diverged for every candidate; lower the learning rate")
    certificate = _certificate(builder, best)
    assert best.encoded is not None
    _write(folder / MESSAGE_FILE, best.encoded.data)
    _write(folder / CERTIFICATE_FILE, to_text(certificate).encode())
    return certificate


def freeze(grid: Grid, output_dir: Path) -> None:
    """Write the grid and its hash. A folder that holds another grid is refused: its certificate would be orphaned."""
    text = json.dumps({"sha256": grid.sha256, "grid": grid.model_dump(mode="json")}, indent=2) + "\n"
    path = output_dir / GRID_FILE
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text(encoding="utf-8", errors="replace") != text:
            raise SpecError(f"{path} holds another grid: a grid is fixed before training, so name another folder")
    except OSError as error:
        raise StoreError(f"cannot use {output_dir} ({error.strerror or error}); name another folder") from None
    _write(path, text.encode())


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise StoreError(f"cannot write {path} ({error.strerror or error}); name another folder") from None


def _try(builder: NetworkBuilder, spec: CertifySpec, candidate: Candidate) -> Outcome:
    try:
        message = _train(builder, spec, candidate)
    except Diverged:
        return Outcome(candidate, None, None, None, None)
    encoded = encode(message, terms_of(spec.grid))
    decoded, _ = decode(encoded.data, terms_of(spec.grid))
    counts = count_errors(rebuild(builder, decoded), "train", MARGIN_OF_CERTIFY)
    evidence = Evidence(counts.errors, counts.samples, encoded.bits, spec.grid.delta)
    return Outcome(candidate, decoded, encoded, counts, certified(evidence))


def _train(builder: NetworkBuilder, spec: CertifySpec, candidate: Candidate) -> Message:
    setting = spec.grid.settings[candidate.setting]
    network = builder.network(setting, candidate.seed)
    inner = lay_out(network, setting, candidate.dim, spec.grid, candidate.seed)
    coarse = Coarse(candidate.kinds, candidate.bit_weight / builder.task.num_train, spec.coarse_from, spec.digits)
    trainable = CoarseSubspace(inner, coarse, structure_aware=setting.structure_aware)
    order = derive(spec.grid.seed, "certificate", "order", candidate.seed)
    fit(trainable, network.prepared[0], builder.task, spec.optim, order)
    levels = tuple(trainable.levels().tolist())
    return Message(candidate.setting, candidate.seed, trainable.values(), trainable.factors(), levels)


def _certificate(builder: NetworkBuilder, best: Outcome) -> Certificate:
    message, encoded, counts = best.message, best.encoded, best.counts
    assert message is not None
    assert encoded is not None
    assert counts is not None
    assert best.bound is not None
    grid, dim = builder.grid, len(message.levels)
    network = rebuild(builder, message)
    held_out = count_errors(network, "eval", MARGIN_OF_CERTIFY)
    evidence = Evidence(counts.errors, counts.samples, encoded.bits, grid.delta)
    test = Counted(errors=held_out.errors, samples=held_out.samples)
    return Certificate(
        statement=statement(best.bound, grid.delta, builder.task),
        bound=best.bound,
        delta={CERTIFIED: grid.delta},
        bits=encoded.bits,
        ledger=encoded.ledger,
        subspace_dim=dim,  # by the name in the file
        full_dim=full_dim(builder, message),
        train=Counted(errors=counts.errors, samples=counts.samples),
        test=test,
        constant_errors=constant_errors(builder.task),
        hashes=hashes_of(builder, network, encoded),
        grid=grid,
        bounds=rows_of(evidence, dim, (test.errors, test.samples)),
        assumptions=assumptions_of(grid, builder.task, grid.settings[message.setting]),
    )


def full_dim(builder: NetworkBuilder, message: Message) -> int:
    """The number of weights of the network that the message names."""
    return sizes(builder.network(builder.grid.settings[message.setting], message.seed))[1]


def hashes_of(builder: NetworkBuilder, network: Network, encoded: Encoded) -> Hashes:
    """The hashes of all that a certificate speaks of."""
    return Hashes(
        grid=builder.grid.sha256,
        message=hashlib.sha256(encoded.data).hexdigest(),
        data=builder.task.fingerprint,
        weights=network.weights_sha256,
    )


def constant_errors(task: Task) -> int:
    """The number of training examples outside of the commonest class."""
    return int(task.num_train - np.bincount(task.train.labels).max())
