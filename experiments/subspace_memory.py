"""What a training step holds at its peak: full fine-tuning, a subspace, and a subspace that keeps no weights.

    python experiments/subspace_memory.py [--layers 6] [--lengths 16 64] [--batch 32]

Real MiniLM (extra `offline`), random tokens, AdamW, fastfood with d = 1000, CPU. Standing is every tensor that is alive
between two steps, as Python's collector lists them, each storage once; the peak counts every tensor that a step
makes besides, for as long as it lives (what the C++ of an operator takes for itself in passing is not seen, what
autograd keeps is). The process's own peak of resident memory stands beside it as a check, each method in a process of
its own. Writes experiments/subspace_memory.md and .json.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import resource
import time
from pathlib import Path
from typing import Any

import torch

from intrinsic.models import load_model
from intrinsic.spec import ModelSpec
from intrinsic.subspace import Subspace
from intrinsic.trial.profile import LiveBytes

HERE = Path(__file__).parent
DIM = 1000
METHODS: dict[str, dict[str, bool]] = {
    "full fine-tuning": {},
    "full, checkpointing": {"checkpointing": True},
    "subspace": {"subspace": True},
    "subspace, regenerate": {"subspace": True, "regenerate": True},
    "subspace, checkpointing": {"subspace": True, "checkpointing": True},
    "subspace, regenerate, checkpointing": {"subspace": True, "regenerate": True, "checkpointing": True},
    "inference": {"inference": True},
}


def standing() -> list[torch.Tensor]:
    """Every tensor that is alive in this process; stand-ins for absent weights have no memory."""
    gc.collect()
    return [found for found in gc.get_objects() if type(found) in (torch.Tensor, torch.nn.Parameter)]


def measure(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """One method: bytes before a step and at its peak, from the second step on, and how long the fastest took."""
    how = METHODS[name]
    spec = ModelSpec(name="minilm", layers=given.layers)
    loaded = load_model(spec, num_labels=2, problem="classification", kind="text", seed=0)
    model = loaded.model.eval() if how.get("inference") else loaded.model.train()
    trained = list(model.parameters())
    if how.get("subspace"):
        trained = Subspace(model, DIM, regenerate=how.get("regenerate", False)).parameters()
    if how.get("checkpointing"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    tokens = torch.randint(1000, 20000, (given.batch, given.length))
    inference = bool(how.get("inference"))
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step(model, optimizer, tokens, inference=inference)  # the optimiser's state is made by the first
    seconds, peaks, held = [], [], []
    for _ in range(3):
        with LiveBytes(standing()) as live:
            held.append(live.now)
            start = time.perf_counter()
            step(model, optimizer, tokens, inference=inference)
            seconds.append(time.perf_counter() - start)
        peaks.append(live.peak)
    return {
        "standing": max(held),
        "peak": max(peaks),
        "resident": 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident),
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
        f"{torch.__version__}. Standing: all tensors between two steps, weights and the optimiser's state among them; "
        "the projection stores none. Peak: the most that is held during a step, standing included. Resident: by how "
        "much the process's peak rose above what it held before its first step, with what operators take in passing. "
        "Command: `python experiments/subspace_memory.py`.",
        "",
        "| tokens | method | standing, MB | peak, MB | of full fine-tuning | resident, MB | s a step |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    full = {row["length"]: row["peak"] for row in rows if row["method"] == "full fine-tuning"}
    for row in rows:
        sizes = [f"{row['standing'] / 1e6:.0f}", f"{row['peak'] / 1e6:.0f}", f"{row['peak'] / full[row['length']]:.2f}"]
        sizes += [f"{row['resident'] / 1e6:.0f}", f"{row['seconds']:.2f}"]
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
