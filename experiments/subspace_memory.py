"""What a training step holds at its peak: full fine-tuning, a subspace, and a subspace that keeps no weights.

    python experiments/subspace_memory.py [--layers 6] [--lengths 16 64] [--batch 32]

Real MiniLM (extra `offline`), random tokens, AdamW, fastfood with d = 1000, CPU. Every tensor that a step makes is
counted by its storage for as long as it lives (a TorchDispatchMode: what the C++ of an operator takes for itself in
passing is not seen, what autograd keeps is), and the operators' own account is checked against the process's peak
resident memory, each method in a process of its own. Writes experiments/subspace_memory.md and .json.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import weakref
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from intrinsic.models import load_model
from intrinsic.spec import ModelSpec
from intrinsic.subspace import Subspace

HERE = Path(__file__).parent
DIM = 1000
METHODS = {
    "full fine-tuning": {},
    "subspace": {"subspace": True},
    "subspace, regenerate": {"subspace": True, "regenerate": True},
    "subspace, checkpointing": {"subspace": True, "checkpointing": True},
    "subspace, regenerate, checkpointing": {"subspace": True, "regenerate": True, "checkpointing": True},
    "inference": {"inference": True},
}


class Held(TorchDispatchMode):
    """Bytes of the storages that were made, or first seen, inside the block and are alive; and the most they were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._seen: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_iter(made):
            if isinstance(tensor, torch.Tensor):
                self.count(tensor)
        return made

    def count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._seen:
            return
        size = storage.nbytes()
        self._seen[key] = weakref.finalize(storage, self._gone, key, size)
        self.now += size
        self.peak = max(self.peak, self.now)

    def _gone(self, key: int, size: int) -> None:
        del self._seen[key]
        self.now -= size


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One method, three steps: what is held before a step, at its peak, and how long the fastest took."""
    how = METHODS[name]
    loaded = load_model(ModelSpec(name="minilm", layers=given.layers), num_labels=2, problem="classification",
                        kind="text", seed=0)  # fmt: skip
    model = loaded.model.eval() if how.get("inference") else loaded.model.train()
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = list(model.parameters())
    if how.get("subspace"):
        trained = Subspace(model, DIM, regenerate=how.get("regenerate", False)).parameters()
    if how.get("checkpointing"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    tokens = torch.randint(1000, 20000, (given.batch, given.length))
    seconds = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        with Held() as held:
            start = time.perf_counter()
            step(model, optimizer, tokens, inference=bool(how.get("inference")))
            seconds.append(time.perf_counter() - start)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kept = sum(s.numel() * s.element_size() for p in trained for s in optimizer.state[p].values() if s.dim())
    placed = weights if not how.get("subspace") else 2 * weights - (weights if how.get("regenerate") else 0)
    return {
        "weights": weights,
        "standing": placed + kept,
        "step": held.peak,
        "resident": 1024 * (after - before),
        "seconds": min(seconds),
    }


def step(model: Any, optimizer: Any, tokens: torch.Tensor, *, inference: bool) -> None:
    if inference:
        with torch.no_grad():
            model(input_ids=tokens)
        return
    labels = torch.zeros(len(tokens), dtype=torch.long)
    torch.nn.functional.cross_entropy(model(input_ids=tokens).logits, labels).backward()
    optimizer.step()
    optimizer.zero_grad()


def table(rows: list[dict[str, Any]], given: argparse.Namespace) -> str:
    lines = [
        "# What a training step holds",
        "",
        f"MiniLM, {given.layers} layers, batch {given.batch}, float32, AdamW, fastfood with d = {DIM}, CPU, torch "
        f"{torch.__version__}. Standing: weights and the optimiser's state. Step: the most that a "
        "step's own tensors hold at once. Command: `python experiments/subspace_memory.py`.",
        "",
        "| tokens | method | standing, MB | step, MB | together, MB | of full fine-tuning | resident, MB | s a step |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    full = {row["length"]: row["standing"] + row["step"] for row in rows if row["method"] == "full fine-tuning"}
    for row in rows:
        both = row["standing"] + row["step"]
        sizes = [f"{row['standing'] / 1e6:.0f}", f"{row['step'] / 1e6:.0f}", f"{both / 1e6:.0f}"]
        sizes += [f"{both / full[row['length']]:.2f}", f"{row['resident'] / 1e6:.0f}", f"{row['seconds']:.2f}"]
        lines.append(f"| {row['length']} | {row['method']} | {' | '.join(sizes)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--lengths", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--batch", type=int, default=32)
    given = parser.parse_args()
    rows = []
    for length in given.lengths:
        for name in METHODS:
            settings = argparse.Namespace(layers=given.layers, batch=given.batch, length=length)
            with multiprocessing.get_context("spawn").Pool(1) as pool:  # a process's peak never comes down again
                rows.append({"method": name, "length": length, **pool.apply(measure, (name, settings))})
    text = table(rows, given)
    (HERE / "subspace_memory.md").write_text(text)
    (HERE / "subspace_memory.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(text)


if __name__ == "__main__":
    main()
