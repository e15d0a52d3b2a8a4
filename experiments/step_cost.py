"""What a training step costs in a subspace beside full fine-tuning, the two measured in turn in one run.

    python experiments/step_cost.py [--rounds 7] [--layers 6] [--batch 32] [--length 64]

Real MiniLM (extra `offline`), random tokens, AdamW as in intrinsic.training; a step is forward, backward,
clipping and update. Writes experiments/step_cost.md and .json: medians over the rounds, and the median of the
ratios round by round, which holds when the machine's speed drifts.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from intrinsic.methods import attach
from intrinsic.models import load_model
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec
from intrinsic.training import make_optimizer

HERE = Path(__file__).parent
FULL = "full"


def methods() -> dict[str, MethodSpec]:
    made = {FULL: MethodSpec(name="full")}
    for projection in ("fastfood", "hashed"):
        for d in (100, 1000, 10000):
            made[f"{projection}, d={d}"] = MethodSpec(
                name="subspace",
                subspace_dim=d,
                projection=projection,
                structure_aware=True,
                lambdas="layer",
                head="in-subspace",
                parameters="all",
            )
    return made


class Stepper:
    def __init__(self, spec: MethodSpec, given: argparse.Namespace) -> None:
        model = ModelSpec(name="minilm", layers=given.layers)
        loaded = load_model(model, num_labels=2, problem="classification", kind="text", seed=0)
        self.trainable = attach(loaded, spec, SeedSpec())
        self.optimizer = make_optimizer(self.trainable, OptimSpec(steps=1, learning_rate=1e-4), torch.device("cpu"))
        draw = torch.Generator().manual_seed(0)
        tokens = torch.randint(1000, 20000, (given.batch, given.length), generator=draw)
        self.batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
        self.labels = torch.randint(0, 2, (given.batch,), generator=draw)
        self.trainable.model.train()

    def seconds(self) -> float:
        start = time.perf_counter()
        logits = self.trainable.model(**self.batch).logits
        torch.nn.functional.cross_entropy(logits, self.labels).backward()
        torch.nn.utils.clip_grad_norm_(self.trainable.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start


def measure(given: argparse.Namespace) -> dict[str, list[float]]:
    steppers = {name: Stepper(spec, given) for name, spec in methods().items()}
    times: dict[str, list[float]] = {name: [] for name in steppers}
    for turn in range(given.rounds + 1):
        for name, stepper in steppers.items():
            took = stepper.seconds()
            if turn:  # the first round compiles and warms up
                times[name].append(took)
    return times


def table(times: dict[str, list[float]], given: argparse.Namespace) -> str:
    rows = [
        f"| {name} | {1000 * median(took):.0f} | {min(ratio):.2f} | **{median(ratio):.2f}** | {max(ratio):.2f} |"
        for name, took in times.items()
        for ratio in [[a / b for a, b in zip(took, times[FULL], strict=True)]]
    ]
    return "\n".join(
        [
            "# A step in a subspace against a step of full fine-tuning",
            "",
            f"MiniLM, {given.layers} layers, all parameters, batch {given.batch} x {given.length} tokens, float32, "
            f"{torch.get_num_threads()} threads, {platform.machine()}, torch {torch.__version__}, "
            f"{datetime.now(UTC):%Y-%m-%d}; {given.rounds} rounds. Command: `python experiments/step_cost.py`.",
            "",
            "| method | ms a step (median) | ratio to full: least | median | most |",
            "|---|---:|---:|---:|---:|",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for flag, default in (("--rounds", 7), ("--layers", 6), ("--batch", 32), ("--length", 64)):
        parser.add_argument(flag, type=int, default=default)
    given = parser.parse_args()
    times = measure(given)
    text = table(times, given)
    print(text)
    record: dict[str, Any] = {"settings": vars(given), "threads": torch.get_num_threads(), "seconds": times}
    (HERE / "step_cost.md").write_text(text)
    (HERE / "step_cost.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
