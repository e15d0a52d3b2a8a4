"""Subspaces under other people's machinery: DDP, the Trainer, torch.compile, accelerate."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from models_tiny import batch_of, logits, loss_of, tiny
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from intrinsic.errors import SpecError
from intrinsic.subspace import Subspace

WORLD, D = 2, 15


class Announcing(nn.Module):
    """A net with buffers that change, and a `dtype` property like that of transformers' models."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)

    @property
    def dtype(self) -> torch.dtype:
        return next(p.dtype for p in self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.norm(self.first(x))))


def attached() -> Subspace:
    torch.manual_seed(0)
    subspace = Subspace(Announcing().double().eval(), D)
    with torch.no_grad():
        subspace.theta.add_(torch.linspace(-0.1, 0.1, subspace.theta.numel()))
    return subspace


def inputs() -> Tensor:
    return torch.randn(2 * WORLD, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def worker(rank: int, folder: str) -> None:
    """One of two processes: three steps of SGD, the first with two micro-batches."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=WORLD)
    subspace = attached()
    if rank:
        subspace.theta.data.zero_()  # DDP copies theta from process 0, past the weights made from it
    model = DistributedDataParallel(subspace.model)
    sent: list[int] = []
    model.register_comm_hook(sent, counted)
    optimizer = torch.optim.SGD(subspace.parameters(), 0.1)
    mine = inputs()[rank::WORLD]
    for step in range(3):
        optimizer.zero_grad()
        if step == 0:
            with model.no_sync():
                model(mine).pow(2).mean().backward()
        model(mine).pow(2).mean().backward()
        optimizer.step()
    torch.save({"sent": sent, "state": subspace.state_dict()}, f"{folder}/{rank}.pt")
    # DDP must go first. Were it the last to hold the group, the group would be closed under Python's lock while gloo's
    # thread waits for that lock to free a tensor: neither would ever end.
    del model
    gc.collect()
    dist.destroy_process_group()


def counted(sent, bucket):  # type: ignore[no-untyped-def]  # DDP wants annotations that are no strings, or none
    """Average over the processes, here and now."""
    sent.append(bucket.buffer().numel())
    dist.all_reduce(bucket.buffer().div_(WORLD))
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


def test_two_processes_exchange_d_numbers_a_step(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(worker, (str(tmp_path),), nprocs=WORLD)
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD)]
    assert [sum(result["sent"]) for result in results] == [3 * D] * WORLD
    alone = attached()
    optimizer = torch.optim.SGD(alone.parameters(), 0.1)
    for step in range(3):
        optimizer.zero_grad()
        for _ in range(2 if step == 0 else 1):
            alone.model(inputs()).pow(2).mean().backward()
        optimizer.step()
    for name, want in alone.state_dict().items():
        assert torch.allclose(results[0]["state"][name], want, rtol=1e-10), name
        assert torch.equal(results[0]["state"][name], results[1]["state"][name])


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    dist.init_process_group("gloo", f"file://{tmp_path}/meet", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing_enable` is deprecated:FutureWarning")
@pytest.mark.parametrize(("reentrant", "static"), [(True, False), (True, True), (False, False)])
def test_reentrant_checkpoints_under_ddp_are_refused_unless_the_graph_is_static(
    one_process: None, reentrant: bool, static: bool
) -> None:
    """Else DDP would send off the first block's share of theta's gradient, and nothing would say so."""
    alone = Subspace(tiny("vit"), 40)
    loss_of(logits(alone.model, batch_of("vit"))).backward()
    subspace = Subspace(tiny("vit"), 40)
    subspace.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    model = DistributedDataParallel(subspace.model, static_graph=static)
    loss = loss_of(logits(model, batch_of("vit")))
    if reentrant and not static:
        with pytest.raises(SpecError, match="use use_reentrant=False, or DDP's static_graph=True"):
            loss.backward()
        return
    loss.backward()
    assert torch.allclose(subspace.theta.grad, alone.theta.grad, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- the Trainer


def examples(count: int = 8) -> list[dict[str, Any]]:
    ids = torch.randint(3, 23, (count, 5), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row.tolist(), "labels": int(row.sum() % 3)} for row in ids]


def trained_by_trainer(folder: Path, steps: int, resume: str | None = None, **settings: Any) -> tuple[Any, Subspace]:
    from transformers import Trainer, TrainingArguments, default_data_collator

    subspace = Subspace(tiny("bert"), 40)
    arguments = TrainingArguments(
        str(folder), max_steps=steps, per_device_train_batch_size=4, learning_rate=1e-2, save_steps=2, logging_steps=2,
        lr_scheduler_type="constant", report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False,
        **settings,
    )  # fmt: skip
    data = examples()
    trainer = Trainer(
        subspace.model, arguments, data_collator=default_data_collator, train_dataset=data, eval_dataset=data
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer, subspace


def test_the_trainer_trains_theta_and_saves_nothing_else(tmp_path: Path) -> None:
    trainer, subspace = trained_by_trainer(
        tmp_path, 4, eval_strategy="steps", eval_steps=2, load_best_model_at_end=True
    )
    assert trainer.get_num_trainable_parameters() == 40
    assert subspace.theta.abs().min() > 0
    saved = load_file(tmp_path / "checkpoint-4" / "model.safetensors")
    assert sorted(saved) == ["intrinsic_subspace.lambdas", "intrinsic_subspace.theta"]
    best = load_file(Path(trainer.state.best_model_checkpoint) / "model.safetensors")
    assert torch.equal(subspace.theta, best["intrinsic_subspace.theta"])


def test_the_trainer_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    whole = trained_by_trainer(tmp_path / "whole", 4)[1]
    shutil.copytree(tmp_path / "whole" / "checkpoint-2", tmp_path / "half" / "checkpoint-2")
    half = trained_by_trainer(tmp_path / "half", 4, resume=str(tmp_path / "half" / "checkpoint-2"))[1]
    assert torch.equal(whole.theta, half.theta)
    assert torch.equal(whole.lambdas, half.lambdas)


@pytest.mark.filterwarnings("ignore:`gradient_checkpointing:FutureWarning")
def test_the_trainer_takes_checkpointing_accumulation_and_bf16(tmp_path: Path) -> None:
    settings = {"gradient_checkpointing": True, "gradient_accumulation_steps": 2, "bf16": True}
    subspace = trained_by_trainer(tmp_path, 2, **settings)[1]
    assert subspace.theta.abs().min() > 0
    assert subspace.theta.dtype == torch.float32
    assert subspace.materialisations == 2  # once at the start, once after the first step


# ---------------------------------------------------------------------- torch.compile


def steps_of(model: nn.Module, subspace: Subspace, name: str, count: int) -> list[Tensor]:
    optimizer = torch.optim.SGD(subspace.parameters(), 1e-2)
    grads = []
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(logits(model, batch_of(name))).backward()
        grads.append(subspace.theta.grad.clone())
        optimizer.step()
    with torch.no_grad():
        grads.append(logits(model, batch_of(name)))
    return grads


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # dynamo looks, and hides the warning itself
@pytest.mark.parametrize(("name", "way"), [("bert", "function"), ("gpt2", "method")])
def test_compiled_models_are_not_compiled_again_after_a_step(name: str, way: str) -> None:
    from torch._dynamo.testing import CompileCounterWithBackend

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    eager = tiny(name)
    want = steps_of(eager, Subspace(eager, 40), name, 4)
    model = tiny(name)
    subspace = Subspace(model, 40)
    compiled = torch.compile(model, backend=counter) if way == "function" else model
    if way == "method":
        model.compile(backend=counter)
    got = steps_of(compiled, subspace, name, 1)[:1]
    graphs = counter.frame_count
    assert graphs == 2  # one with gradients, one without
    model.load_state_dict(Subspace(tiny(name), 40).model.state_dict())
    got = steps_of(compiled, subspace, name, 4)
    assert counter.frame_count == graphs
    for a, b in zip(got, want, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)
    assert subspace.materialisations == 1 + 1 + 5  # the start, one step, a loaded state and four steps


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning", "ignore::DeprecationWarning")
@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
def test_the_default_compiler_gives_the_same_gradients() -> None:
    torch._dynamo.reset()
    eager = tiny("bert")
    want = steps_of(eager, Subspace(eager, 40), "bert", 3)
    model = tiny("bert")
    got = steps_of(torch.compile(model), Subspace(model, 40), "bert", 3)
    for a, b in zip(got, want, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_accelerate_prepares_and_unwraps_it() -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    subspace = Subspace(tiny("bert"), 40)
    model, optimizer = accelerator.prepare(subspace.model, torch.optim.AdamW(subspace.parameters(), 1e-2))
    loss = loss_of(logits(model, batch_of("bert")))
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(subspace.parameters(), 1.0)
    optimizer.step()
    assert subspace.theta.abs().min() > 0
    assert accelerator.unwrap_model(model, keep_fp32_wrapper=False) is subspace.merge()
