"""`intrinsic bench`: what it measures, what it writes, what it refuses. No test asserts a time."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from intrinsic_cli.bench import show
from rich.console import Console

from intrinsic import bench as benching
from intrinsic.bench import BenchSizes, bench, choose_sizes
from intrinsic.bench.files import write_bench
from intrinsic.bench.machine import this_machine
from intrinsic.bench.peers import find_peers
from intrinsic.bench.projections import Case, paths
from intrinsic.bench.tables import PROJECTIONS, TRANSFORMS, markdown, projection_rows, transform_rows
from intrinsic.bench.timing import LEAST, Timing, in_turn
from intrinsic.errors import SpecError, UnknownName
from intrinsic.kernels import library, native, reference

CPU = torch.device("cpu")
TINY = BenchSizes(((3, 256), (1, 1024)), (3000, 5000), (10, 200), 0.001, Case("fastfood", 200, 5000))
FFHT_C = """
int fht_float(float *x, int log_p) {
    for (long h = 1; h < 1L << log_p; h *= 2)
        for (long i = 0; i < 1L << log_p; i++)
            if (!(i & h)) { float a = x[i], b = x[i + h]; x[i] = a + b; x[i + h] = a - b; }
    return 0;
}
"""


@pytest.fixture
def ffht(tmp_path: Path) -> Path:
    """A library with FFHT's function in it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    (tmp_path / "fht.c").write_text(FFHT_C)
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", tmp_path / "fht.c", "-o", tmp_path / "libffht.so"], check=True)
    return tmp_path / "libffht.so"


@pytest.fixture
def hadamard_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("hadamard_transform")
    module.hadamard_transform = lambda x: reference.fwht(x) / x.shape[-1] ** 0.5  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "hadamard_transform", module)


def test_calls_are_timed_in_turn_after_a_warm_up() -> None:
    seen: list[str] = []
    times = in_turn({"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}, 0.0, CPU)
    assert seen == ["a", "b"] * (LEAST + 1)
    assert times["a"].runs == LEAST
    assert 0 <= times["a"].best <= times["a"].median


def test_every_size_is_measured(ffht: Path, hadamard_transform: None) -> None:
    said: list[str] = []
    made = bench({"cpu": TINY}, ffht, said.append)
    assert [(row.rows, row.p) for row in made.transforms] == [(3, 256), (1, 1024)]
    assert set(made.transforms[0].times) == {"intrinsic", "pass", "hadamard-transform"}
    assert set(made.transforms[1].times) == {"intrinsic", "pass", "FFHT", "hadamard-transform"}
    measured = {(row.case.name, row.case.d, row.case.n) for row in made.projections}
    names = ("fastfood", "hashed", "sparse", "dense")
    assert measured == {(name, d, n) for name in names for d in (10, 200) for n in (3000, 5000)}
    assert {row.case.path for row in made.projections} == {"auto", *paths()}
    assert len(said) == len(made.transforms) + len(made.projections)
    assert made.not_measured == ["GPU: none on this machine"]


def test_peers_compute_the_same_transform(ffht: Path, hadamard_transform: None) -> None:
    peers = find_peers(ffht)
    x = torch.randn(1, 64)
    mine, theirs = x.clone(), x.clone()
    call = peers["FFHT"](theirs)
    assert call is not None
    call()
    assert torch.equal(theirs, native.fwht_(mine) if library.available() else reference.fwht(mine))
    assert peers["FFHT"](torch.ones(2, 64)) is None
    assert "hadamard-transform" in peers


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hadamard_transform", None)
    made = bench({"cpu": BenchSizes(((1, 8),), (), (), 0.0)})
    assert set(made.transforms[0].times) == {"intrinsic", "pass"}
    assert len(made.not_measured) == 3
    assert "FFHT: its library was not named (--ffht)" in markdown(made)


def test_a_file_that_is_not_ffht_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.so").write_text("no library")
    with pytest.raises(SpecError, match=r"x.so is not FFHT's library .* build it in its source folder with: gcc"):
        find_peers(tmp_path / "x.so")


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list(choose_sizes("all", quick=True)) == ["cpu"]
    with pytest.raises(SpecError, match="expected a GPU for --device cuda, torch finds none"):
        choose_sizes("cuda", quick=True)
    with pytest.raises(UnknownName, match="unknown device 'gpu'; available: all, cpu, cuda"):
        choose_sizes("gpu", quick=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert list(choose_sizes("all", quick=False)) == ["cpu", "cuda"]
    assert list(choose_sizes("cuda", quick=False)) == ["cuda"]


def test_tables_and_files(tmp_path: Path) -> None:
    made = bench({"cpu": TINY})
    body = transform_rows(made)
    assert all(len(row) == len(TRANSFORMS) for row in body)
    assert {row[2]: row[5] for row in body}["intrinsic"] == "1.00"
    assert all(len(row) == len(PROJECTIONS) for row in projection_rows(made))
    written = write_bench(made, tmp_path / "new")
    assert [path.name for path in written] == ["bench.json", "bench.md", "bench.csv", "bench-cpu.png", "bench-cpu.pdf"]
    record = json.loads(written[0].read_text())
    assert record["machine"]["cores"] == this_machine().cores >= 1
    assert record["projections"][0]["forward"]["best"] > 0
    points = list(csv.DictReader(written[2].read_text().splitlines()))
    assert len(points) == len(body) + 2 * len(made.projections)
    assert float(points[0]["seconds"]) == made.transforms[0].times["intrinsic"].best
    assert written[3].read_bytes().startswith(b"\x89PNG")


def test_the_widest_rows_fit_a_terminal_of_80_columns() -> None:
    made, text = bench({"cpu": TINY}), io.StringIO()
    row, (dense, slow) = made.projections[0], (Timing(4.37e-6, 4.4e-6, 9), Timing(0.3977, 0.4, 9))
    cases = (Case("fastfood", 30_000, 22_700_000, "native avx512-loads"), Case("dense", 30_000, 3333))
    floors = (Timing(0.02437, 0.03, 9), dense)
    made.projections = [
        replace(row, case=case, floor=floor, forward=slow, adjoint=slow)
        for case, floor in zip(cases, floors, strict=True)
    ]
    show(Console(file=text, width=80, highlight=False, markup=False), made)
    assert "fastfood avx512-loads" in text.getvalue()
    assert "…" not in text.getvalue()


def test_the_command(cli, monkeypatch):
    monkeypatch.setitem(benching.SIZES, ("cpu", True), TINY)
    code, out, err = cli("bench", "--quick", "--output-dir", "here", "--device", "cpu")
    assert (code, err) == (0, "")
    assert "files: here: bench.json" in out
    assert max(map(len, out.splitlines())) <= 80
    assert Path("here/bench.md").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--device", "tpu"), "unknown device 'tpu'"),
        (("--ffht", "none.so"), "none.so is not FFHT's library"),
        (("--output-dir", "/dev/null/x"), "cannot write to /dev/null"),
    ],
)
def test_the_command_refuses_in_one_sentence(cli, given, message):
    code, out, err = cli("bench", "--quick", *given)
    assert (code, out.strip()) == (2, "")
    assert message in err
    assert err.count("\n") == 1
