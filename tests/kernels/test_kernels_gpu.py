"""The Triton kernels, in processes of their own: in Triton's interpreter everywhere, on the GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]


def triton_version() -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in version("triton").split(".")[:2])
    except PackageNotFoundError:
        return (0, 0)


needs_triton = pytest.mark.skipif(triton_version() < (3, 6), reason="triton 3.6 or newer is not installed")


def python(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def suite(chosen: str, **environment: str) -> str:
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "-k", chosen]
    return python("-m", "pytest", *options, "tests/kernels_gpu.py", **environment)


@needs_triton
@pytest.mark.parametrize("chosen", ["fastfood and not every", "fastfood and every", "not fastfood"])
def test_the_kernels_in_the_interpreter(chosen: str) -> None:
    assert "[100%]" in suite(chosen, TRITON_INTERPRET="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_the_kernels_on_the_device() -> None:
    assert "[100%]" in suite("test", TRITON_INTERPRET="0")


ASK = """
import sys, torch
from intrinsic import kernels
from intrinsic.projections import make_projection
make_projection("fastfood", 300, seed=1).forward(torch.ones(300), 9, 1000)
print("intrinsic.kernels.gpu" in sys.modules)
print(kernels.find("fastfood_forward", torch.device("cuda"), torch.float32) is None)
with kernels.only("triton"):
    print(kernels.find("fastfood_forward", torch.device("cpu"), torch.float32) is None)
"""


def test_a_cpu_asks_nothing_of_triton() -> None:
    loaded, _, left = python("-c", ASK, TRITON_INTERPRET="0").split()
    assert loaded == "False"
    assert left == "True"  # without the interpreter, the kernels are not for a CPU's tensors


def test_without_triton_the_reference_serves_a_gpu() -> None:
    assert python("-c", f"import sys; sys.modules['triton'] = None\n{ASK}").split() == ["False", "True", "True"]


@needs_triton
def test_a_triton_too_old_leaves_the_reference() -> None:
    assert python("-c", f"import triton; triton.__version__ = '3.5.1'\n{ASK}").split() == ["False", "True", "True"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to measure")
def test_without_a_gpu_the_measurement_says_so(tmp_path: Path) -> None:
    command = [sys.executable, "experiments/kernels_gpu.py", "--output-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("no GPU on this machine: nothing was measured")
    assert not list(tmp_path.iterdir())


@needs_triton
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_no_kernel_spills_but_those_whose_tile_is_half_of_the_registers(tmp_path: Path) -> None:
    """For an H100, without one. 2^15 numbers are 128 KiB, and a multiprocessor has 256 KiB of registers."""
    said = python("experiments/kernels_gpu_compile.py", "--output-dir", str(tmp_path))
    spilling = [line for line in said.splitlines() if line.startswith("spills: ")]
    assert spilling == ["spills: forward, p = 32768, float32", "spills: adjoint, p = 32768, float32"]
