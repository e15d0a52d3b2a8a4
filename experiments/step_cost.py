"""What a training step costs in a subspace beside full fine-tuning, the two measured in turn in one run.

    python experiments/step_cost.py [--rounds 7] [--layers 6] [--batch 32] [--length 64]

Real MiniLM (extra `offline`), random tokens, AdamW as in intrinsic.training; a step is forward, backward,
clipping and update. Each method has a process of its own, as each trial of `intrinsic` has: in a common one the memory
that a step of full fine-tuning gives back serves the next method's step, and neither takes the time that it takes
alone. They work in turns of three steps, the first of which is not counted: the caches hold the others' numbers then.
Who begins moves on by one from round to round.

Writes experiments/step_cost.md and .json: medians over the rounds, and the median of the ratios round by round, which
holds when the machine's speed drifts; and what of a step passes in P and its adjoint.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from intrinsic.kernels.processor import processor
from intrinsic.methods import attach
from intrinsic.models import load_model
from intrinsic.spec import MethodSpec, ModelSpec, OptimSpec, SeedSpec
from intrinsic.subspace.core import Core
from intrinsic.training import make_optimizer

HERE = Path(__file__).parent
FULL = "full"
COUNTED = 2
"""Steps of a turn, after one that is not."""


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
        self.projected = 0.0
        for core in (module for module in self.trainable.model.modules() if isinstance(module, Core)):
            for name in ("weights", "adjoints"):
                setattr(core.projection, name, self._timed(getattr(core.projection, name)))

    def _timed(self, compute: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            start = time.perf_counter()
            made = compute(*given)
            self.projected += time.perf_counter() - start
            return made

        return timed

    def seconds(self) -> tuple[float, float]:
        """Of one step, and of it in the projection."""
        self.projected, start = 0.0, time.perf_counter()
        logits = self.trainable.model(**self.batch).logits
        torch.nn.functional.cross_entropy(logits, self.labels).backward()
        torch.nn.utils.clip_grad_norm_(self.trainable.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return time.perf_counter() - start, self.projected


_stepper: Stepper
"""This process's own."""


def _start(spec: MethodSpec, given: argparse.Namespace) -> None:
    global _stepper
    _stepper = Stepper(spec, given)


def _turn() -> tuple[float, float]:
    """Seconds of a step and of it in the projection, means of a turn's counted steps."""
    took = [_stepper.seconds() for _ in range(1 + COUNTED)][1:]
    return mean(step for step, _ in took), mean(part for _, part in took)


Times = dict[str, list[tuple[float, float]]]


def measure(given: argparse.Namespace) -> Times:
    """One method computes at a time; the others' processes sleep."""
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_start, initargs=(spec, given))
            )
            for name, spec in methods().items()
        }
        times: Times = {name: [] for name in processes}
        order = deque(processes.items())
        for turn in range(given.rounds + 1):
            for name, process in order:
                took = process.submit(_turn).result()
                if turn:  # the first round loads the model and warms up
                    times[name].append(took)
            order.rotate(-1)
    return times


def table(times: Times, given: argparse.Namespace) -> str:
    full = [step for step, _ in times[FULL]]
    rows = [
        f"| {name} | {1000 * median(step for step, _ in took):.0f} | {min(ratio):.2f} | **{median(ratio):.2f}** | "
        f"{max(ratio):.2f} | {1000 * median(part for _, part in took):.0f} | "
        f"{100 * median(part / step for step, part in took):.1f} % | "
        f"{100 * median(part / other for (_, part), other in zip(took, full, strict=True)):.1f} % |"
        for name, took in times.items()
        for ratio in [[step / other for (step, _), other in zip(took, full, strict=True)]]
    ]
    return "\n".join(
        [
            "# A step in a subspace against a step of full fine-tuning",
            "",
            f"MiniLM, {given.layers} layers, all parameters, batch {given.batch} x {given.length} tokens, float32, "
            f"{torch.get_num_threads()} threads, {processor()}, torch {torch.__version__}, "
            f"{datetime.now(UTC):%Y-%m-%d}; {given.rounds} rounds. "
            f"Command: `python experiments/step_cost.py --rounds {given.rounds}`.",
            "",
            f"Each method in a process of its own; they work in turn, {1 + COUNTED} steps a round, of which the first",
            "is not counted; a round's number is the mean of the others. Its ratios share what full fine-tuning took.",
            "",
            "The last two columns: time in P and its adjoint over the method's own step, and over full fine-tuning's",
            "step of the same round; medians of the rounds.",
            "",
            "| method | ms a step (median) | ratio to full: least | median | most | ms in P, adjoint | of its step "
            "| of full's |",
            "|---|---:|---:|---:|---:|---:|---:|---:|",
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
    seconds = {name: {"step": [s for s, _ in took], "projection": [p for _, p in took]} for name, took in times.items()}
    record: dict[str, Any] = {
        "settings": {**vars(given), "counted": COUNTED},
        "threads": torch.get_num_threads(),
        "seconds": seconds,
    }
    (HERE / "step_cost.md").write_text(text)
    (HERE / "step_cost.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
