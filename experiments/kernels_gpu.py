"""What the GPU kernels take, beside the floor that memory sets; and a training step beside full fine-tuning's.

    python experiments/kernels_gpu.py [--rounds 3] [--seconds 1] [--output-dir experiments]

Needs a GPU with 24 GB or more, and says so where there is none. In one run: the Walsh-Hadamard transform against a
device copy; Fastfood and hashed, forward and adjoint, against 8 and 4 bytes a parameter at --bandwidth; a step of
RoBERTa-base's shape (random weights, random tokens), full fine-tuning with fused AdamW and subspaces in turn, with
the peak of allocated memory. Writes kernels_gpu.md and .json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from intrinsic import Subspace, kernels
from intrinsic.bench.machine import this_machine
from intrinsic.bench.timing import Timing, in_turn
from intrinsic.kernels.pieces import Piece

HERE = Path(__file__).parent
PARAMETERS = (125_000_000, 1_300_000_000)
DIMS = (100, 1000, 10_000, 30_000)
ROWS = (1024, 8192, 32_768)
FLOATS = 1 << 28
FULL = "full"
WARM_UP = 5
STEPS = 20


@dataclass(frozen=True)
class Transform:
    p: int
    ours: Timing
    copy: Timing


@dataclass(frozen=True)
class Product:
    name: str
    n: int
    d: int
    dtype: str
    """Of W_0, W and the gradient."""
    forward: Timing
    adjoint: Timing
    bytes_forward: int
    bytes_adjoint: int


@dataclass(frozen=True)
class Step:
    method: str
    precision: str
    milliseconds: list[float]
    """The median of each round's steps."""
    peak_bytes: int


# ---------------------------------------------------------------------- kernels


def transforms(device: torch.device, seconds: float) -> Iterator[Transform]:
    x = torch.zeros(FLOATS, device=device)
    other = torch.empty_like(x)
    for p in ROWS:
        rows = x.view(-1, p)
        calls = {"ours": partial(kernels.fwht_, rows), "copy": partial(other.copy_, x)}
        yield Transform(p, **in_turn(calls, seconds, device))


def products(device: torch.device, seconds: float) -> Iterator[Product]:
    for n in PARAMETERS:
        for dtype in (torch.float32, torch.bfloat16):
            start, grad = (torch.randn(n, device=device).to(dtype) for _ in range(2))
            for name in ("fastfood", "hashed"):
                for d in DIMS:
                    yield product(name, d, start, grad, seconds)
            del start, grad


def product(name: str, d: int, start: Tensor, grad: Tensor, seconds: float) -> Product:
    device = start.device
    forward, adjoint = (kernels.find(f"{name}_{way}", device, torch.float32) for way in ("forward", "adjoint"))
    if forward is None or adjoint is None:
        raise SystemExit("the GPU kernels are not there: install triton 3.6 or newer")
    theta = torch.randn(d, device=device)
    piece = Piece(1, start.numel(), start, torch.tensor(0.5, device=device))
    calls: dict[str, Callable[[], object]] = {
        "forward": lambda: forward(theta, 0, [piece]),
        "adjoint": lambda: adjoint([grad], 0, [1], d),
    }
    size = start.numel() * start.element_size()
    dtype = str(start.dtype).removeprefix("torch.")
    times = in_turn(calls, seconds, device)
    return Product(name, start.numel(), d, dtype, **times, bytes_forward=2 * size, bytes_adjoint=size)


# ---------------------------------------------------------------------- a training step


class Stepper:
    """A model on the device, and its step: forward, backward, clipping, fused AdamW."""

    def __init__(self, method: str, precision: str, device: torch.device) -> None:
        from transformers import RobertaConfig, RobertaForSequenceClassification

        torch.manual_seed(0)
        model: nn.Module = RobertaForSequenceClassification(
            RobertaConfig(vocab_size=50_265, max_position_embeddings=514)
        )
        self.model = model.to(device, torch.bfloat16 if precision == "bfloat16 weights" else torch.float32).train()
        if method != FULL:
            name, d = method.split(", d=")
            self.subspace = Subspace(self.model, int(d), projection=name, cache_bytes=0)
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5, fused=True)
        self.autocast = precision == "autocast"
        self.tokens = torch.randint(1000, 50_000, (32, 128), device=device)
        self.labels = torch.randint(0, 2, (32,), device=device)

    def step(self) -> None:
        with self._precision():
            logits = self.model(input_ids=self.tokens, attention_mask=torch.ones_like(self.tokens)).logits
            loss = nn.functional.cross_entropy(logits.float(), self.labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.tokens.device.type, torch.bfloat16) if self.autocast else nullcontext()


def steps(device: torch.device, rounds: int) -> Iterator[Step]:
    """Each alone on the device, round by round, so that its peak is its own."""
    names = [FULL, *(f"{name}, d={d}" for name in ("fastfood", "hashed") for d in (1000, 10_000))]
    for precision in ("autocast", "bfloat16 weights"):
        times: dict[str, list[float]] = {name: [] for name in names}
        peaks: dict[str, int] = {}
        for _ in range(rounds):
            for name in names:
                milliseconds, peaks[name] = one_round(name, precision, device)
                times[name].append(milliseconds)
        for name in names:
            yield Step(name, precision, times[name], peaks[name])


def one_round(method: str, precision: str, device: torch.device) -> tuple[float, int]:
    """(median milliseconds a step, peak bytes)"""
    stepper = Stepper(method, precision, device)
    for _ in range(WARM_UP):
        stepper.step()
    torch.cuda.reset_peak_memory_stats(device)
    took = []
    for _ in range(STEPS):
        before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        before.record()
        stepper.step()
        after.record()
        torch.cuda.synchronize(device)
        took.append(before.elapsed_time(after))
    return median(took), torch.cuda.max_memory_allocated(device)


# ---------------------------------------------------------------------- tables


def transform_table(rows: list[Transform]) -> list[str]:
    lines = ["| p | ms | ms of a device copy | ratio |", "| ---: | ---: | ---: | ---: |"]
    for r in rows:
        ratio = r.ours.best / r.copy.best
        lines.append(f"| {r.p} | {1e3 * r.ours.best:.3f} | {1e3 * r.copy.best:.3f} | {ratio:.2f} |")
    return lines


def product_table(rows: list[Product], bandwidth: float) -> list[str]:
    lines = [
        "| projection | n | d | dtype | forward, ms | times the floor | adjoint, ms | times the floor |",
        "| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for r in rows:
        floors = r.bytes_forward / bandwidth, r.bytes_adjoint / bandwidth
        both = zip((r.forward, r.adjoint), floors, strict=True)
        cells = " | ".join(f"{1e3 * took.best:.3f} | {took.best / floor:.2f}" for took, floor in both)
        lines.append(f"| {r.name} | {r.n} | {r.d} | {r.dtype} | {cells} |")
    return lines


def step_table(rows: list[Step]) -> list[str]:
    lines = [
        "| precision | method | ms a step | ratio to full | peak, MB | ratio to full |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    full = {row.precision: row for row in rows if row.method == FULL}
    for r in rows:
        base = full[r.precision]
        time, memory = min(r.milliseconds) / min(base.milliseconds), r.peak_bytes / base.peak_bytes
        lines.append(
            f"| {r.precision} | {r.method} | {min(r.milliseconds):.2f} | {time:.2f} "
            f"| {r.peak_bytes / 1e6:.0f} | {memory:.2f} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of the training steps")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each call of a kernel")
    parser.add_argument("--bandwidth", type=float, default=4.3e12, help="bytes a second that the floor counts with")
    parser.add_argument("--output-dir", type=Path, default=HERE)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU on this machine: nothing was measured and nothing written; run this where CUDA is available")
    given.output_dir.mkdir(parents=True, exist_ok=True)  # now: afterwards would be late
    device = torch.device("cuda")
    made = (
        list(transforms(device, given.seconds)),
        list(products(device, given.seconds)),
        list(steps(device, given.rounds)),
    )
    machine = this_machine()
    lines = [
        "# Kernels on a GPU",
        "",
        f"{', '.join(machine.devices)}, torch {machine.torch}, {machine.started}; the least of many runs; the floor "
        f"counts with {given.bandwidth / 1e12:.1f} TB/s. Command: `python experiments/kernels_gpu.py`.",
        "",
        *("## The Walsh-Hadamard transform of 2^28 floats, in rows of p", "", *transform_table(made[0]), ""),
        *("## W = W_0 + lambda P theta, and P^T g", "", *product_table(made[1], given.bandwidth), ""),
        *("## A training step: RoBERTa-base's shape, batch 32 x 128", "", *step_table(made[2]), ""),
    ]
    print("\n".join(lines))
    settings = {name: value for name, value in vars(given).items() if name != "output_dir"}
    record: dict[str, object] = {"machine": asdict(machine), "settings": settings}
    for title, rows in (("transforms", made[0]), ("products", made[1]), ("steps", made[2])):
        record[title] = [asdict(row) for row in rows]
    (given.output_dir / "kernels_gpu.md").write_text("\n".join(lines))
    (given.output_dir / "kernels_gpu.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
