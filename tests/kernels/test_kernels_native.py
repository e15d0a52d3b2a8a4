"""The C kernels as a part of an installation: built or not built, without numba, in forked processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from intrinsic import kernels
from intrinsic.errors import UnknownName
from intrinsic.kernels import library

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
has_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on this machine")
built = pytest.mark.skipif(not library.available(), reason="the C kernels were not built")


def python(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, **environment}, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def served_by(operation: str, dtype: torch.dtype = torch.float32) -> str:
    found = kernels.find(operation, CPU, dtype)
    return "reference" if found is None else found.__module__


@has_compiler
def test_where_there_is_a_compiler_there_are_kernels() -> None:
    assert "plain" in library.available()
    assert served_by("fastfood_forward") == "intrinsic.kernels.native"


@built
def test_what_the_c_kernels_leave_goes_to_numba() -> None:
    assert served_by("fastfood_forward", torch.float64) == "intrinsic.kernels.cpu"
    assert served_by("sparse_forward", torch.float64) == "reference"
    assert kernels.find("fastfood_forward", torch.device("meta"), torch.float32) is None


@built
def test_the_widest_set_serves_with_gathers_or_with_loads_as_the_trial_says(monkeypatch: pytest.MonkeyPatch) -> None:
    widest = library.available()[0]
    assert library.fastest() in (widest, f"{widest}-loads")
    assert all(1e-8 < library._lookup_seconds(name) < 1e-2 for name in library.available())  # of 1024 lookups
    for slow, chosen in (("-loads", widest), ("", f"{widest}-loads")):
        seconds = {widest + slow: 2e-6}
        monkeypatch.setattr(library, "_lookup_seconds", lambda name, seconds=seconds: seconds.get(name, 1e-6))
        library.fastest.cache_clear()
        assert library.fastest() == chosen
    library.fastest.cache_clear()


@built
def test_a_set_that_is_not_there_is_never_the_fastest() -> None:
    assert library._lookup_seconds("plain-loads") == float("inf")


OTHER_VERSION = """
import warnings
from intrinsic.kernels import library
library._PASSED = (*library._PASSED[:-1], library.Task)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    print(library.available(), len(said), said[0].message)
"""


@built
def test_kernels_of_another_version_are_left_out() -> None:
    said = python(OTHER_VERSION)
    assert said.startswith("[] 1 the C kernels in ")
    assert "were built from another version and are left out: install the package again" in said


def test_without_the_library_numba_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "available", list)
    assert served_by("fastfood_adjoint") == "intrinsic.kernels.cpu"
    assert served_by("fwht_") == "reference"


DIGEST = """
import hashlib, torch
from intrinsic.projections import make_projection
def digest():
    p = make_projection("fastfood", 300, seed=1)
    theta = torch.arange(300.0)
    return hashlib.sha256(p.forward(theta, 9, 70000).numpy().tobytes()).hexdigest()
"""


def test_without_compiler_and_numba_the_reference_serves() -> None:
    bare = "import sys; sys.modules['numba'] = None; import intrinsic.kernels.library as n; n.available = list"
    asked = "from intrinsic import kernels; print(kernels.find('fastfood_forward', torch.device('cpu'), torch.float32))"
    missing = python(f"{bare}\n{DIGEST}\n{asked}\nprint(digest())").split()
    assert missing[0] == "None"
    assert missing[1] == python(f"{DIGEST}\nprint(digest())").strip()


def test_the_environment_names_the_backend() -> None:
    ask = "from intrinsic import kernels; import torch; print(kernels.find('words', torch.device('cpu'), torch.int64))"
    assert python(ask, INTRINSIC_KERNELS="reference").strip() == "None"
    assert "function words" in python(ask, INTRINSIC_KERNELS=""), "as if it were not set"
    assert "_words" in python(ask.replace("print(", "print('_words', "), INTRINSIC_KERNELS="numba")
    with pytest.raises(AssertionError, match="unknown kernel backend in INTRINSIC_KERNELS 'fast'"):
        python(ask, INTRINSIC_KERNELS="fast")


def test_an_unknown_backend_is_an_error_of_ours() -> None:
    with pytest.raises(UnknownName), kernels.only("fast"):
        pass


FORK = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
torch.set_num_threads(2)
class Data(torch.utils.data.Dataset):
    def __len__(self): return 2
    def __getitem__(self, i): return digest()
before = digest()
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.apply_async(digest).get(60) == before
loader = torch.utils.data.DataLoader(Data(), batch_size=None, num_workers=1, multiprocessing_context="fork", timeout=60)
assert list(loader) == [before, before]
print("same")
"""


@pytest.mark.parametrize("backend", ["native", "numba"])
def test_a_forked_process_computes_the_same(backend: str) -> None:
    assert python(DIGEST + FORK, INTRINSIC_KERNELS=backend).strip() == "same"


LATE = """
import multiprocessing
import intrinsic.kernels.native
torch.set_num_threads(2)
torch.ones(1 << 22).mul_(2.0)  # torch's threads are there, and the kernels not loaded yet
with multiprocessing.get_context("fork").Pool(1) as pool:
    made = pool.apply_async(digest).get(60)
print(made == digest())
"""


def test_a_fork_before_the_kernels_are_loaded_computes_the_same() -> None:
    assert python(DIGEST + LATE, INTRINSIC_KERNELS="native").strip() == "True"


def test_threads_of_torch_and_of_our_own_give_the_same() -> None:
    own = "import intrinsic.kernels.library as n; n._torchs_threads = lambda: None"
    two = "torch.set_num_threads(2); print(digest())"
    assert python(f"{DIGEST}\n{own}\n{two}") == python(f"{DIGEST}\n{two}")
    libraries = list((Path(torch.__file__).parent / "lib").glob("libgomp*"))
    assert bool(libraries) <= (library._torchs_threads() is not None)


def copied(to: Path) -> Path:
    """The sources that an installation is built from."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, to / name)
    ignore = shutil.ignore_patterns("__pycache__", "*.so", "*.egg-info")
    shutil.copytree(ROOT / "intrinsic", to / "intrinsic", ignore=ignore)
    shutil.copytree(ROOT / "cli", to / "cli", ignore=ignore)
    return to


def build(kind: str, source: Path, into: Path, **environment: str) -> Path:
    """`kind`: sdist or wheel, by the build backend itself, as pip calls it."""
    call = f"import setuptools.build_meta as b; print(b.build_{kind}({str(into)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", call], cwd=source, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return into / done.stdout.split()[-1]


def kernels_in(wheel: Path) -> list[str]:
    return [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("intrinsic/kernels/_native")]


@pytest.mark.slow
@has_compiler
def test_a_source_distribution_builds_the_kernels(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    (tmp_path / "tree").mkdir()
    sdist = build("sdist", copied(tmp_path / "tree"), tmp_path)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert (unpacked / "intrinsic/kernels/csrc/fastfood.h").exists()
    wheel = build("wheel", unpacked, tmp_path)
    assert kernels_in(wheel)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    ask = "import intrinsic; from intrinsic.kernels import library; print(intrinsic.__file__, library.available())"
    done = subprocess.run(
        [sys.executable, "-c", ask],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "installed")},
    )
    assert str(tmp_path / "installed") in done.stdout, done.stderr
    assert "plain" in done.stdout


@pytest.mark.slow
def test_without_a_compiler_the_package_still_builds(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    (tmp_path / "tree").mkdir()
    assert not kernels_in(build("wheel", copied(tmp_path / "tree"), tmp_path, CC="false"))


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc to compile experiments/kernels_parts.c with")
def test_the_program_that_times_the_parts_of_a_block_still_compiles(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    source, headers = root / "experiments" / "kernels_parts.c", root / "intrinsic" / "kernels" / "csrc"
    flags = ["-std=gnu11", "-Wno-psabi", "-fsyntax-only", "-I", str(headers), '-DSET="plain.c"']
    subprocess.run(["gcc", *flags, str(source)], check=True, cwd=tmp_path)
