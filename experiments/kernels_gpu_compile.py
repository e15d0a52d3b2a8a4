"""What the compiler makes of every GPU kernel: registers, spills, shared memory; no GPU is needed.

    python experiments/kernels_gpu_compile.py [--arch 90] [--output-dir experiments]

Compiles ahead of time with Triton and the ptxas that comes with it, for the shapes that the launches use, and writes
kernels_gpu_compile.md and .json. Says nothing of speed: that is `kernels_gpu.py`, on a device.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia.compiler import get_ptxas
from triton.compiler import ASTSource

from intrinsic.kernels.gpu import draw, fastfood_kernels, hashed, hashed_kernels, transform_kernels
from intrinsic.kernels.gpu.launch import COLUMNS
from intrinsic.kernels.gpu.tile import tile_shape

HERE = Path(__file__).parent
REGISTERS, THREADS, SHARED = 65536, 2048, 232_448
"""Of a multiprocessor of an H100 or H200; SHARED in bytes, of which each program takes 1024 more than it asks for."""
TABLES = {"table": "*i64", "row_of": "*i32"}
LOOK_UPS = {"gauss": "*i32", "chi": "*fp32", "iota": "*i32", "d": "i32"}


@dataclass(frozen=True)
class Case:
    kernel: Any
    shape: str
    arguments: dict[str, str]
    """Name -> type, in order."""
    constants: dict[str, Any]
    warps: int
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    kernel: str
    shape: str
    warps: int
    registers: int
    spilled: int
    """Bytes a thread stores to local memory and loads again, as ptxas counts them."""
    shared: int
    programs: int
    """That fit on a multiprocessor at once."""


def cases() -> Iterator[Case]:
    yield from transforms()
    yield from fastfoods()
    yield from hasheds()


def transforms() -> Iterator[Case]:
    for log in (2, 6, 10, 13, 14, 15):
        K, R, W = tile_shape(1 << log)
        constants = {"K": K, "R": R, "W": W}
        yield Case(transform_kernels.rows, f"p = {1 << log}", {"x": "*fp32", "count": "i64"}, constants, 1 << W)
    for S in (1, 4):
        constants = {"H": 15, "S": S, "CHUNK": 512}
        yield Case(transform_kernels.columns, f"p = {1 << (15 + S)}", {"x": "*fp32"}, constants, 4)


def fastfoods() -> Iterator[Case]:
    types = {"float32": triton.language.float32, "bfloat16": triton.language.bfloat16}
    for log in (4, 7, 10, 13, 14, 15):
        K, R, W = tile_shape(1 << log)
        for dtype in types if log == 10 else ("float32",):  # the longest take two minutes each
            held = types[dtype]
            constants = {"DTYPE": held, "FOURS": True, "K": K, "R": R, "W": W}
            shape = f"p = {1 << log}, {dtype}"
            arguments = {"theta": "*fp32", "data": "*i64", **TABLES, **LOOK_UPS}
            fused = {"enable_fp_fusion": False}
            yield Case(fastfood_kernels.forward, shape, arguments, {**constants, "START": True}, 1 << W, fused)
            arguments = {"data": "*i64", "partial": "*fp32", **TABLES, **LOOK_UPS}
            yield Case(fastfood_kernels.adjoint, shape, arguments, constants, 1 << W, {"num_stages": 1})
    arguments = {"partial": "*fp32", "out": "*fp32", "table": "*i64", "d": "i32"}
    constants = {"K": 10, "TABLE_COLUMNS": COLUMNS, "COLUMNS": 32, "ROWS": 64}
    yield Case(fastfood_kernels.add_rows, "p = 1024", arguments, constants, 4)
    arguments = {"words": "*i32", "places": "*i64", "names": "*i64", "first": "i32", "count": "i32"}
    for log in (0, 3, 16):
        yield Case(draw.write_parts, f"p = {1 << log}", arguments, {"K": log, "SIZE": 1024}, 4)


def hasheds() -> Iterator[Case]:
    constants = {"DTYPE": triton.language.float32, "FOURS": True, "SIZE": hashed.TILE}
    for shared in (0, 1024, 4096):
        arguments = {"theta": "*fp32", "data": "*i64", **TABLES, "d": "i32"}
        shape = f"d <= {shared}" if shared else "d > 4096"
        options = {"enable_fp_fusion": False}
        yield Case(hashed_kernels.forward, shape, arguments, {**constants, "START": True, "SHARED": shared}, 4, options)
    yield Case(hashed_kernels.largest, "", {"data": "*i64", "out": "*i32", **TABLES}, constants, 4)
    arguments = {"data": "*i64", "sums": "*i64", "spoiled": "*fp32", "per_unit": "*fp64", **TABLES}
    yield Case(hashed_kernels.adjoint, "", {**arguments, "d": "i32", "copies": "i32"}, constants, 8)


def measured(case: Case, arch: int) -> Row:
    names = case.kernel.arg_names
    signature = {name: case.arguments.get(name, "constexpr") for name in names}
    aligned = {(names.index(n),): [["tt.divisibility", 16]] for n, kind in case.arguments.items() if kind[0] == "*"}
    constants = {(names.index(name),): value for name, value in case.constants.items()}
    source = ASTSource(fn=case.kernel, signature=signature, constexprs=constants, attrs=aligned)
    made = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": case.warps, **case.options})
    registers, spilled = assembled(made.asm["ptx"], arch)
    return Row(
        case.kernel.__module__.rpartition(".")[2] + "." + case.kernel.__name__,
        case.shape,
        case.warps,
        registers,
        spilled,
        made.metadata.shared,
        fitting(registers, case.warps, made.metadata.shared),
    )


def assembled(ptx: str, arch: int) -> tuple[int, int]:
    """(registers a thread, bytes spilled), from that ptxas which Triton itself takes for this device."""
    target = re.search(r"^\.target (\w+)", ptx, re.MULTILINE)
    assert target is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.ptx"
        path.write_text(ptx)
        command = [get_ptxas(arch).path, "-v", "--gpu-name", target[1], str(path), "-o", f"{folder}/cubin"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    spills = re.findall(r"(\d+) bytes spill (?:stores|loads)", said)
    return int(re.findall(r"Used (\d+) registers", said)[0]), sum(map(int, spills))


def fitting(registers: int, warps: int, shared: int) -> int:
    """Programs that a multiprocessor holds: registers are given out by 8 a thread."""
    by_registers = REGISTERS // (-(-registers // 8) * 8 * 32 * warps)
    return min(by_registers, THREADS // (32 * warps), SHARED // (shared + 1024), 32)


def table(rows: list[Row], arch: int) -> str:
    lines = [
        f"Triton {triton.__version__}, sm_{arch}. Spilled: bytes a thread. Programs: on a multiprocessor at once.",
        "",
        "| kernel | shape | warps | registers | spilled | shared, bytes | programs |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for r in rows:
        numbers = f"{r.warps} | {r.registers} | {r.spilled} | {r.shared} | {r.programs}"
        lines.append(f"| {r.kernel} | {r.shape} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", type=int, default=90, help="compute capability, 90 for an H100 or H200")
    parser.add_argument("--output-dir", type=Path, default=HERE)
    given = parser.parse_args()
    given.output_dir.mkdir(parents=True, exist_ok=True)  # now: afterwards would be late
    rows = []
    for case in cases():
        rows.append(measured(case, given.arch))
        print(rows[-1], flush=True)
    made = table(rows, given.arch)
    (given.output_dir / "kernels_gpu_compile.md").write_text(f"# GPU kernels as compiled\n\n{made}")
    body = {"triton": triton.__version__, "arch": given.arch, "rows": [asdict(row) for row in rows]}
    (given.output_dir / "kernels_gpu_compile.json").write_text(json.dumps(body, indent=1) + "\n")
    print(made)
    for row in rows:
        if row.spilled:
            print(f"spills: {row.kernel.rpartition('.')[2]}, {row.shape}")


if __name__ == "__main__":
    main()
