"""One contract for every projection: adjoint, dense matrix, seeds, processes, threads, scale, cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from importlib.metadata import EntryPoint
from math import sqrt

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from intrinsic import kernels
from intrinsic.errors import SpecError, UnknownName
from intrinsic.kernels.pieces import Piece
from intrinsic.projections import PROJECTIONS, Projection, make_projection
from intrinsic.spec import PROJECTION_NAMES

NAMES = sorted(PROJECTIONS)
SIZES = [(1, 1), (1, 7), (2, 9), (7, 1), (8, 64), (33, 20), (100, 1000), (257, 1500)]
KEY = 0xFEDCBA9876543210
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
DEFAULT = torch.device("cpu")


def make(name: str, d: int, seed: int = 3, **options: float) -> Projection:
    return make_projection(name, d, seed, full_dim=50, **options)


def vectors(d: int, n: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(d * 1000 + n)
    return torch.randn(d, generator=draw, dtype=dtype), torch.randn(n, generator=draw, dtype=dtype)


def relative(got: torch.Tensor, want: torch.Tensor) -> float:
    return float((got.double() - want).norm() / want.norm().clamp_min(1e-300))


@pytest.mark.parametrize("backend", kernels.BACKENDS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("d", "n"), SIZES)
@pytest.mark.parametrize("name", NAMES)
def test_forward_and_adjoint_are_the_dense_matrix(name: str, d: int, n: int, dtype: torch.dtype, backend: str) -> None:
    projection = make(name, d)
    theta, grad = vectors(d, n, dtype)
    dense = projection.to_dense(KEY, n)
    with kernels.only(backend):
        forward, adjoint = projection.forward(theta, KEY, n), projection.adjoint(grad, KEY)
    assert forward.shape == (n,)
    assert adjoint.shape == (d,)
    assert forward.dtype == adjoint.dtype == dtype
    scale = float(theta.double().norm() * dense.norm()) + 1e-300
    assert float((forward.double() - dense @ theta.double()).norm()) <= TOLERANCE[dtype] * scale
    assert float((adjoint.double() - dense.T @ grad.double()).norm()) <= TOLERANCE[dtype] * float(
        grad.double().norm() * dense.norm() + 1e-300
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
@given(d=st.integers(1, 300), n=st.integers(1, 3000), seed=st.integers(0, 2**64 - 1), key=st.integers(0, 2**64 - 1))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_adjoint_identity(name: str, dtype: torch.dtype, d: int, n: int, seed: int, key: int) -> None:
    projection = make(name, d, seed)
    theta, grad = vectors(d, n, dtype)
    left = projection.forward(theta, key, n).double() @ grad.double()
    right = theta.double() @ projection.adjoint(grad, key).double()
    # relative to the lengths: the inner product itself may cancel to nothing
    size = float(theta.double().norm() * grad.double().norm()) * sqrt(n / d + 1)
    assert abs(float(left - right)) <= TOLERANCE[dtype] * size


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", NAMES)
def test_backends_agree(name: str, dtype: torch.dtype) -> None:
    projection = make(name, 100)
    theta, grad = vectors(100, 5000, dtype)
    forward, adjoint = projection.forward(theta, KEY, 5000), projection.adjoint(grad, KEY)
    with kernels.only("reference"):
        other = make(name, 100)
        assert torch.equal(other.forward(theta, KEY, 5000), forward)
        assert relative(other.adjoint(grad, KEY), adjoint.double()) < TOLERANCE[dtype] / 10


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_or_key_is_another_matrix(name: str) -> None:
    base = make(name, 40).to_dense(KEY, 200)
    assert torch.equal(make(name, 40).to_dense(KEY, 200), base)
    others = [make(name, 40, seed=s).to_dense(KEY, 200) for s in (2, 3 + 2**32)]
    others += [make(name, 40).to_dense(k, 200) for k in (KEY + 1, KEY ^ 2**63, KEY ^ 2**31)]
    for other in others:
        cosine = (base * other).sum() / (base.norm() * other.norm())
        assert abs(float(cosine)) < 0.15


@pytest.mark.parametrize("name", NAMES)
def test_scale_rows_have_unit_expected_norm_and_columns_are_near_isometric(name: str) -> None:
    d, n = 64, 65536
    dense = make_projection(name, d, 1, full_dim=900).to_dense(KEY, n)
    rows = dense.pow(2).sum(1)
    # a Kronecker row is a product of two shared factors' rows: fewer gaussians, a mean with deviation 0.044
    assert float(rows.mean()) == pytest.approx(1, abs=0.15 if name == "kronecker" else 0.01)
    gram = dense.T @ dense * (d / n)
    # Marchenko-Pastur edges (1 +- sqrt(d/n))^2; for a Kronecker product those of both factors, (1 +- sqrt(8/256))^4
    low, high = ((1 - 0.177) ** 4, (1 + 0.177) ** 4) if name == "kronecker" else (0.94, 1.065)
    eigenvalues = torch.linalg.eigvalsh(gram)
    assert 0.9 * low < float(eigenvalues[0])
    assert float(eigenvalues[-1]) < 1.1 * high


@pytest.mark.parametrize("name", NAMES)
def test_mean_over_seeds_of_one_row_is_one(name: str) -> None:
    norms = [float(make(name, 30, seed=s).to_dense(KEY, 3)[1].pow(2).sum()) for s in range(400)]
    mean = sum(norms) / len(norms)
    spread = (sum((x - mean) ** 2 for x in norms) / len(norms)) ** 0.5
    assert abs(mean - 1) < 4 * spread / sqrt(len(norms)) + 1e-9


@pytest.mark.parametrize("name", ["dense", "fastfood", "kronecker"])
def test_entries_have_zero_mean_and_uncorrelated_rows(name: str) -> None:
    dense = make_projection(name, 32, 5).to_dense(KEY, 32 * 256)
    assert abs(float(dense.mean())) < 4 / sqrt(dense.numel() * 32)
    rows = dense.view(256, 32, 32)
    cross = torch.einsum("bid,bjd->ij", rows, rows) / 256
    assert float((cross - torch.eye(32, dtype=torch.float64)).abs().max()) < (0.6 if name == "kronecker" else 0.3)


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_changes_nothing(name: str) -> None:
    theta, grad = vectors(100, 3000, torch.float32)
    for backend in kernels.BACKENDS:
        with kernels.only(backend):
            kept, bare = make(name, 100), make(name, 100, cache_bytes=0)
            for _ in range(2):
                assert torch.equal(kept.forward(theta, KEY, 3000), bare.forward(theta, KEY, 3000))
                assert torch.equal(kept.adjoint(grad, KEY), bare.adjoint(grad, KEY))
                assert not bare._cache


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_stays_within_its_budget(name: str) -> None:
    budget = 200_000
    with kernels.only("reference"):
        projection = make(name, 50, cache_bytes=budget)
        for key in range(20):
            projection.forward(torch.ones(50), key, 200)
    held = sum(t.numel() * t.element_size() for made in projection._cache.values() for t in made)
    assert 0 < held <= budget


@pytest.mark.parametrize("name", NAMES)
def test_threads_change_no_bit(name: str) -> None:
    theta, grad = vectors(70, 300_000, torch.float32)
    threads = torch.get_num_threads()
    answers = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            projection = make_projection(name, 70, 3, full_dim=300_000)
            answers.append((projection.forward(theta, KEY, 300_000), projection.adjoint(grad, KEY)))
    finally:
        torch.set_num_threads(threads)
    for forward, adjoint in answers[1:]:
        # a matrix product inside BLAS may split its sum by thread; our own kernels may not
        assert torch.equal(forward, answers[0][0]) or name in ("dense", "kronecker")
        assert torch.equal(adjoint, answers[0][1]) or name in ("dense", "kronecker")
        assert relative(adjoint, answers[0][1].double()) < 1e-5
        assert relative(forward, answers[0][0].double()) < 1e-5


@pytest.mark.parametrize("d", [1, 3, 100])
@pytest.mark.parametrize("name", NAMES)
def test_long_sums_lose_nothing(name: str, d: int) -> None:
    """A million terms an entry: added one by one in float32 they were wrong by 3e-5 of the gradient's norm."""
    n = 1_000_000
    projection = make_projection(name, d, 3, full_dim=n, cache_bytes=0)
    grad = torch.randn(n, generator=torch.Generator().manual_seed(d))
    lost = (projection.adjoint(grad, KEY) - projection.adjoint(grad.double(), KEY)).norm() / grad.double().norm()
    assert float(lost) < 1e-6


PROBE = """
import hashlib, torch
from intrinsic.projections import PROJECTIONS, make_projection
torch.set_num_threads(1)
for name in sorted(PROJECTIONS):
    p = make_projection(name, 37, 2**63 + 11, full_dim=50)
    print(hashlib.sha256(p.to_dense(2**64 - 2, 211).numpy().tobytes()).hexdigest())
"""


def test_another_process_draws_the_same_matrices() -> None:
    printed = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    here = [
        hashlib.sha256(
            make_projection(name, 37, 2**63 + 11, full_dim=50).to_dense(2**64 - 2, 211).numpy().tobytes()
        ).hexdigest()
        for name in NAMES
    ]
    assert printed.split() == here


def test_sparse_density_and_row_counts() -> None:
    dense = make_projection("sparse", 200, 9, density=0.05).to_dense(KEY, 4000)
    assert float((dense != 0).double().mean()) == pytest.approx(0.05, rel=0.04)
    counts = (dense != 0).sum(1).double()
    assert float(counts.var()) == pytest.approx(200 * 0.05 * 0.95, rel=0.1)
    assert make_projection("sparse", 200, 9, full_dim=10_000).options == {"density": 0.01}


def test_fastfood_is_its_formula() -> None:
    """V = S H G Pi H B written out with matrices, from the parts and an independent Hadamard matrix."""
    from scipy.linalg import hadamard

    from intrinsic.kernels.reference import fastfood_parts

    d, n, p = 13, 40, 16
    sign, gauss, spread, pi = fastfood_parts(3, KEY, d, n, DEFAULT, torch.float64)
    h = torch.from_numpy(hadamard(p).astype(float))
    blocks = []
    for j in range(3):
        permute = torch.zeros(p, p, dtype=torch.float64)
        permute[torch.arange(p), pi[j]] = 1
        blocks.append(torch.diag(spread[j]) @ h @ torch.diag(gauss[j]) @ permute @ h @ torch.diag(sign[j]))
        assert sorted(pi[j].tolist()) == list(range(p))
    torch.testing.assert_close(make("fastfood", d).to_dense(KEY, n), torch.cat(blocks)[:n, :d], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("p", [4, 8, 64, 1024])
def test_permutations_look_uniform(p: int) -> None:
    """pi(i), and pi(j) - pi(i) for neighbours i, j, are uniform: chi-square over many blocks."""
    from scipy import stats

    from intrinsic.kernels.reference import permutations

    blocks = 20_000 if p <= 64 else 4_000
    pi = permutations(7, KEY, p, blocks, DEFAULT)
    bins = min(p, 16)
    for i in {0, 1, p // 2, p - 1}:
        counts = torch.bincount(pi[:, i] * bins // p, minlength=bins)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-5
    steps = torch.bincount(torch.arange(1, p) * bins // p, minlength=bins)  # a step of 0 cannot occur
    for i, j in {(0, 1), (0, p // 2), (p - 2, p - 1), (1, p // 2 + 1)}:
        counts = torch.bincount((pi[:, j] - pi[:, i]) % p * bins // p, minlength=bins)
        seen = steps > 0
        expected = steps[seen].double() * (blocks / (p - 1))
        assert counts[~seen].sum() == 0
        assert stats.chisquare(counts[seen].numpy(), expected.numpy()).pvalue > 1e-5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make("fastfood", 0), r"dim must be an integer in \[1, 2\^31\), got 0"),
        (lambda: make("fastfood", 2**31), "dim must be an integer"),
        (lambda: make("dense", 3, seed=-1), "projection seed must be an integer"),
        (lambda: make("dense", 3, cache_bytes=-1), "cache_bytes must be an integer, 0"),
        (lambda: make("sparse", 3, density=0.0), "density must lie in"),
        (
            lambda: make("hashed", 3).forward(torch.ones(4), 1, 5),
            "theta must be a vector of length 3, the projection's dim, got shape",
        ),
        (lambda: make("hashed", 3).forward(torch.ones(3, 1), 1, 5), "theta must be a vector of length 3"),
        (lambda: make("hashed", 3).forward(torch.ones(3).half(), 1, 5), "theta must be float32 or float64"),
        (
            lambda: make("hashed", 3).forward(torch.ones(3), 1, 0),
            "the projected length n must be an integer of at least 1, got 0",
        ),
        (lambda: make("hashed", 3).adjoint(torch.ones(2, 2), 1), "grad must be a vector of at least one number"),
        (lambda: make("hashed", 3).adjoint(torch.ones(0), 1), "grad must be a vector of at least one number"),
        (lambda: make("hashed", 3).forward([1.0, 2.0, 3.0], 1, 5), "theta must be a dense tensor, got list"),
        (
            lambda: make("hashed", 3).forward(torch.ones(3).to_sparse(), 1, 5),
            "must be a dense tensor, got torch.sparse",
        ),
        (
            lambda: make("hashed", 3).weights(torch.ones(3), [Piece(1, 4, scale=0.5)]),
            "lambda must be a tensor, got float",
        ),
        (lambda: make("hashed", 3).weights(torch.ones(3), [Piece(1, 4, [1.0])]), "W_0 must be a tensor, got list"),
        (lambda: make("hashed", True), "dim must be an integer .*, got True"),
        (lambda: make("hashed", 3).forward(torch.ones(3), 1, 2.5), "n must be an integer of at least 1, got 2.5"),
        (lambda: make("hashed", 3).forward(torch.ones(3), 1.5, 2), "a key must be an integer .*, got 1.5"),
        (lambda: make("hashed", 3).forward(torch.ones(3, device="meta"), 1, 2), "theta is on the meta device"),
        (lambda: make("hashed", 3).adjoint(torch.ones(3, device="meta"), 1), "grad is on the meta device"),
        (lambda: make("hashed", 3, density=0.5), "unknown option of the projection hashed 'density'; available: none"),
        (lambda: make("sparse", 3, densty=0.5, density=0.5), "did you mean 'density'"),
        (lambda: make_projection("sparse", 3, 0, full_dim=-4), "full_dim must be the number of parameters .*, got -4"),
        (lambda: make("hashed", 3).weights(torch.ones(3), [Piece(1, 4, torch.ones(4).int())]), "W_0 must be floating"),
        (
            lambda: make("hashed", 3).weights(torch.ones(3), [Piece(1, 4, torch.ones(4), torch.ones(3))]),
            r"lambda must be one number on cpu, got shape \(3,\) on cpu",
        ),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("name", PROJECTIONS)
def test_autocast_reaches_neither_the_projection_nor_its_adjoint(name: str) -> None:
    made, theta, grad = make(name, 20), torch.randn(20), torch.randn(50)
    with torch.autocast("cpu"):
        forward, adjoint = made.forward(theta, 1, 50), made.adjoint(grad, 1)
    assert torch.equal(forward, made.forward(theta, 1, 50))
    assert torch.equal(adjoint, made.adjoint(grad, 1))


def test_integers_of_numpy_are_integers() -> None:
    made, theta = make("hashed", np.int64(3), seed=np.uint64(7)), torch.randn(3)
    plain, grad = make("hashed", 3, seed=7), torch.randn(9)
    assert torch.equal(made.forward(theta, np.int64(5), np.int32(9)), plain.forward(theta, 5, 9))
    assert torch.equal(made.weights(theta, [Piece(np.int64(5), np.int64(9))])[0], plain.forward(theta, 5, 9))
    assert torch.equal(made.adjoint(grad, np.int64(5)), plain.adjoint(grad, 5))


@pytest.mark.parametrize("d", [40_000, 1_000_000])
def test_long_rows_lose_nothing(d: int) -> None:
    made, theta = make("dense", d), torch.randn(d, generator=torch.Generator().manual_seed(0))
    exact = made.forward(theta.double(), 3, 33)
    assert (made.forward(theta, 3, 33) - exact).norm() / exact.norm() < 5e-7


@pytest.mark.parametrize("name", PROJECTIONS)
def test_views_that_are_negated_only_when_read(name: str) -> None:
    """Their memory holds the numbers with the other sign; so it is in the imaginary part of a conjugate."""
    made, theta, x = make(name, 200), torch.randn(200), torch.randn(700)
    negated = torch._neg_view(x)
    assert torch.equal(made.adjoint(negated, 5), made.adjoint(-x, 5))
    assert torch.equal(made.forward(torch._neg_view(theta), 5, 700), made.forward(-theta, 5, 700))
    one, other = (made.weights(theta, [Piece(5, 700, start)])[0] for start in (negated, -x))
    assert torch.equal(one, other)
    kernels.fwht_(transformed := torch._neg_view(x[:512].clone()))
    assert torch.equal(transformed, kernels.fwht_(-x[:512]))


def test_an_unknown_name_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="unknown projection 'fastfod'; available: dense, fastfood, hashed"):
        make_projection("fastfod", 3, 0)


@pytest.mark.parametrize(("dim", "got"), [(0, "0"), (-4, "-4"), (2.5, "2.5"), ("9", "'9'")])
def test_a_default_that_depends_on_dim_is_asked_of_a_sound_one(dim: object, got: str) -> None:
    with pytest.raises(SpecError, match=f"dim must be an integer .*, got {got}: give another d"):
        make_projection("sparse", dim, 0)  # type: ignore[arg-type]
    assert make_projection("sparse", 16, 0).options == {"density": 0.25}


class Half(Projection):
    """A third party's class that forgot the adjoint."""

    def _forward(self, theta: torch.Tensor, key: int, n: int) -> torch.Tensor:
        return theta.new_zeros(n)


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


NUMBER, UNPRINTABLE = 3, Unprintable()


@pytest.mark.parametrize(
    ("home", "complaint"),
    [
        ("Half", "lacks the method '_adjoint'"),
        ("NUMBER", "must be a Projection's class, got 3"),
        ("Unprintable", "must be a Projection's class, got <class"),
        ("UNPRINTABLE", "must be a Projection's class, got an object of the type Unprintable, whose repr raises"),
    ],
)
def test_a_stranger_that_is_no_projection_is_told_by_name(
    home: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("strange", f"{__name__}:{home}", "intrinsic.projections")
    monkeypatch.setattr("intrinsic.plugins.entries_of", lambda kind: {"strange": entry})
    told = f"projection 'strange' of the package {__name__} {complaint}.*: repair or uninstall the package"
    with pytest.raises(SpecError, match=told):
        make_projection("strange", 3, 0)
    usable, complaints = PROJECTIONS.offered()
    assert set(usable) == set(PROJECTION_NAMES)
    assert len(complaints) == 1
    assert complaint in complaints[0]


def test_non_contiguous_input_and_nan_pass_through() -> None:
    projection = make("fastfood", 8)
    wide = torch.randn(8, 2)
    assert torch.equal(projection.forward(wide[:, 0], KEY, 30), projection.forward(wide[:, 0].clone(), KEY, 30))
    assert projection.forward(torch.full((8,), float("nan")), KEY, 30).isnan().all()
