"""A certificate for the digits that takes seconds to make, and what a forger does to its files."""

from __future__ import annotations

import json
from pathlib import Path

from intrinsic.certificate.record import CERTIFICATE_FILE
from intrinsic.certificate.spec import CertifySpec, Grid, Setting
from intrinsic.certificate.verify import verify
from intrinsic.spec import OptimSpec

SETTINGS = (Setting(network="gabor"), Setting(network="gabor", projection="fastfood"))
OPTIM = OptimSpec(learning_rate=0.2, epochs=20, batch_size=128, eval_batch_size=1024)
SPEC = CertifySpec(grid=Grid(settings=SETTINGS, seeds=2), dims=(150,), bit_weights=(4.0,), trained_seeds=1, optim=OPTIM)


def tamper(folder: Path, **changes: object) -> Path:
    """Change fields of a certificate.json; a dotted name, with __ for the dot, reaches inside."""
    path = folder / CERTIFICATE_FILE
    tree = json.loads(path.read_text())
    for name, value in changes.items():
        *parents, leaf = name.split("__")
        node = tree
        for parent in parents:
            node = node[int(parent) if isinstance(node, list) else parent]
        node[leaf] = value
    path.write_text(json.dumps(tree))
    return path


def refused(folder: Path) -> set[str]:
    return {check.name for check in verify(folder / CERTIFICATE_FILE).failures}
