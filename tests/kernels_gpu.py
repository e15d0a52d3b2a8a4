"""Tests that the Triton kernels give the reference's numbers, on a GPU, or on the CPU under TRITON_INTERPRET=1.

Run by test_kernels_gpu.py in a process of its own, as the interpreter must be chosen before Triton is imported.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from intrinsic import kernels
from intrinsic.errors import SpecError
from intrinsic.kernels import gpu, reference
from intrinsic.kernels.gpu import fastfood, fastfood_kernels, hashed, hashed_kernels, transform, wide
from intrinsic.kernels.gpu.launch import LaunchTable, signed
from intrinsic.kernels.gpu.tile import tile_shape
from intrinsic.kernels.pieces import Piece
from intrinsic.projections import Projection, make_projection

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
on_a_device = pytest.mark.skipif(DEVICE.type == "cpu", reason="no GPU on this machine")
SEED, KEY = 2**63 + 5, 0xFEDCBA9876543210
SIZES = (1, 7, 384, 1000, 4100, 5000)
LAYERS = [("fastfood", 1000), *(("hashed", d) for d in (1, 3, 1000, 5000))]
NUMBERS = {"fastfood": (gpu.fastfood_forward, gpu.fastfood_adjoint), "hashed": (gpu.hashed_forward, gpu.hashed_adjoint)}


@pytest.fixture(autouse=True)
def _triton() -> Iterator[None]:
    """Let Triton alone serve every test, so that a test fails where the reference would answer instead."""
    with kernels.only("triton"):
        for operation in gpu.OPERATIONS:
            found = kernels.find(operation, DEVICE, torch.float32)
            assert found is not None
            assert found.__module__.startswith("intrinsic.kernels.gpu")
        yield


def make(name: str, d: int) -> Projection:
    return make_projection(name, d, seed=SEED)


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(DEVICE)


def rounded(wide: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor rounded to the nearest; Triton 3.6's interpreter cuts off to bfloat16, unlike a GPU."""
    if dtype == torch.bfloat16 and DEVICE.type == "cpu":
        return (wide.view(torch.int32) >> 16).to(torch.int16).view(torch.bfloat16)
    return wide.to(dtype)


def layer() -> list[Piece]:
    """Pieces with and without W_0 and lambda; W_0 also in half precision, transposed, and off the 16-byte grid."""
    starts: list[Tensor | None] = [
        randn(1),
        None,
        randn(24, 16).t(),
        randn(1000),
        randn(4100).bfloat16(),
        randn(5003)[3:],
    ]
    starts[3] = randn(1000).half()
    scales = [None, torch.tensor(0.7, device=DEVICE)] * 3
    return [Piece(KEY + i, n, w, s) for i, (n, w, s) in enumerate(zip(SIZES, starts, scales, strict=True))]


def expected(name: str, theta: Tensor, pieces: list[Piece]) -> list[Tensor]:
    """The reference's weights, computed in float32 up to the last rounding."""
    made = []
    with kernels.only("reference"):
        for piece in pieces:
            start = None if piece.start is None else piece.start.float()
            (single,) = make(name, theta.numel()).weights(theta, [Piece(piece.key, piece.n, start, piece.scale)])
            made.append(single if piece.start is None else rounded(single, piece.start.dtype))
    return made


def same(got: list[Tensor], want: list[Tensor]) -> bool:
    return all(g.shape == w.shape and g.dtype == w.dtype and torch.equal(g, w) for g, w in zip(got, want, strict=True))


def error(got: Tensor, want: Tensor) -> float:
    """The largest of the rows' errors, relative to the row's norm."""
    return float(((got - want).norm(dim=1) / want.norm(dim=1).clamp_min(1e-30)).max())


# ---------------------------------------------------------------------- projections


@pytest.mark.parametrize(("name", "d"), LAYERS)
def test_weights_of_a_layer_equal_the_reference_to_the_last_bit(name: str, d: int) -> None:
    theta = randn(d)
    assert same(make(name, d).weights(theta, layer()), expected(name, theta, layer()))


@pytest.mark.parametrize(("name", "d"), LAYERS)
def test_adjoints_of_a_layer_agree_with_float64_and_with_each_alone(name: str, d: int) -> None:
    grads, keys = [randn(n, seed=1) for n in SIZES], [KEY + i for i in range(len(SIZES))]
    with kernels.only("reference"):
        want = make(name, d).adjoints([grad.double() for grad in grads], keys)
    got = make(name, d).adjoints(grads, keys)
    assert got.dtype == torch.float32
    assert error(got, want) < 1e-6
    assert torch.equal(got[3:5], torch.stack([make(name, d).adjoint(grads[i], keys[i]) for i in (3, 4)]))


@pytest.mark.parametrize("log", [4, 5, 7, 9, 11, 13, 14, 15])
def test_fastfood_of_every_block_a_program_holds(log: int) -> None:
    d, n = (1 << log) - 3, (1 << log) + (5 if log < 14 else -5)
    theta, grad = randn(d), randn(n, seed=1)
    assert same([make("fastfood", d).forward(theta, KEY, n)], expected("fastfood", theta, [Piece(KEY, n)]))
    with kernels.only("reference"):
        want = make("fastfood", d).adjoint(grad.double(), KEY)
    assert error(make("fastfood", d).adjoint(grad, KEY)[None], want[None]) < 1e-6


@pytest.mark.parametrize("d", [1, 3, 8, 33_000])
def test_fastfood_in_several_passes(d: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks too short or too long for one program, a few blocks at a time."""
    n = reference.block_size(d) + 77
    monkeypatch.setattr(wide, "SLICE", max(32, reference.block_size(d)))
    if d > 1000:  # the interpreter takes as long for a large program as for a small one
        monkeypatch.setattr(wide, "TILE", 1 << 16 if DEVICE.type == "cpu" else wide.TILE)
    theta, grad = randn(d), randn(n, seed=1)
    piece = Piece(KEY, n, randn(n), torch.tensor(0.7, device=DEVICE))
    assert same(make("fastfood", d).weights(theta, [piece]), expected("fastfood", theta, [piece]))
    with kernels.only("reference"):
        want = make("fastfood", d).adjoint(grad.double(), KEY)
    assert error(make("fastfood", d).adjoint(grad, KEY)[None], want[None]) < 1e-6


def test_fastfood_of_a_gradient_with_more_tiles_than_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fastfood, "_LEAST_ROWS", 1)
    grads, keys = [randn(12_290, seed=1), randn(100, seed=1)], [KEY, KEY + 1]
    assert [fastfood.rows_of(grad.numel(), 256) for grad in grads] == [4, 1]
    monkeypatch.setattr(fastfood, "_BLOCKS_A_ROW", 24)
    assert [fastfood.rows_of(grad.numel(), 256) for grad in grads] == [3, 1]
    with kernels.only("reference"):
        want = make("fastfood", 200).adjoints([grad.double() for grad in grads], keys)
    assert error(make("fastfood", 200).adjoints(grads, keys), want) < 1e-6


def test_fastfood_of_several_long_blocks_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks whose sums lie in memory, not in registers."""
    monkeypatch.setattr(fastfood, "_LEAST_ROWS", 1)
    grad = randn((1 << 15) + 5, seed=1)
    assert fastfood.rows_of(grad.numel(), 1 << 14) == 1
    with kernels.only("reference"):
        want = make("fastfood", 16_000).adjoint(grad.double(), KEY)
    assert error(make("fastfood", 16_000).adjoint(grad, KEY)[None], want[None]) < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NUMBERS)
def test_gradients_in_half_precision_are_read_as_they_are(name: str, dtype: torch.dtype) -> None:
    grads = [randn(n, seed=1).to(dtype) for n in (4096, 30)]
    adjoint = NUMBERS[name][1]
    assert torch.equal(
        adjoint(grads, SEED, [KEY, 3], 200), adjoint([grad.float() for grad in grads], SEED, [KEY, 3], 200)
    )


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # numpy's, in the interpreter
@pytest.mark.parametrize("name", NUMBERS)
def test_nan_and_infinity_reach_what_the_reference_says(name: str) -> None:
    theta, grad = randn(200), randn(5000)
    theta[17], grad[4321], grad[17] = float("nan"), float("nan"), float("inf")
    with kernels.only("reference"):
        forward, adjoint = make(name, 200).forward(theta, KEY, 5000), make(name, 200).adjoint(grad, KEY)
    assert torch.equal(make(name, 200).forward(theta, KEY, 5000).isnan(), forward.isnan())
    assert torch.equal(make(name, 200).adjoint(grad, KEY).isfinite(), adjoint.isfinite())


def test_hashed_sums_of_very_different_numbers() -> None:
    """The sums are integers in units that suit the tensor's own largest number."""
    grads = [1e30 * randn(4096), 1e-30 * randn(5000), torch.zeros(8, device=DEVICE), randn(4096)]
    grads[3][:2048] *= 1e6
    with kernels.only("reference"):
        want = make("hashed", 50).adjoints([grad.double() for grad in grads], range(4))
    assert error(make("hashed", 50).adjoints(grads, range(4)), want) < 1e-6


# ---------------------------------------------------------------------- more than 2^31 elements


class Far:
    """A tensor of 2^33 + 4096 elements, of which only the last 4096 exist; program 0 gets its last tile."""

    n = 2**33 + 4096
    start = 2**33

    def __init__(self) -> None:
        self.held = torch.zeros(4096, device=DEVICE)
        address = signed((self.held.data_ptr() - 4 * self.start) % 2**64)
        table = [[signed(SEED), signed(KEY), self.n, -(self.start // 4096), self.start // 4096 + 1]]
        self.launch = LaunchTable(torch.tensor(table, device=DEVICE), torch.zeros(1, dtype=torch.int32, device=DEVICE))
        self.addresses = torch.tensor([[address, torch.ones((), device=DEVICE).data_ptr(), 0]], device=DEVICE)


def shifted(monkeypatch: pytest.MonkeyPatch, blocks: int, q: int) -> None:
    """Let the reference begin `blocks` blocks later; a block of words takes q counters."""
    original = reference.philox

    def philox(index: Tensor, seed: int, key: int, stream: int) -> tuple[Tensor, ...]:
        return original(index + blocks * (q if stream == reference.VALUES else 4), seed, key, stream)

    monkeypatch.setattr(reference, "philox", philox)


def test_fastfood_beyond_two_to_the_31(monkeypatch: pytest.MonkeyPatch) -> None:
    far, theta = Far(), randn(1000)
    K, R, W = tile_shape(1024)
    one = torch.ones((), device=DEVICE)
    far.addresses[0, 1] = one.data_ptr()
    padded = torch.nn.functional.pad(theta, (0, 24))
    given = (far.launch.table, far.launch.row_of, *fastfood._tables(1024, DEVICE), 1000)
    fastfood_kernels.forward[(1,)](
        padded, far.addresses, *given, DTYPE=fastfood.TYPES[torch.float32], START=False, FOURS=True,
        K=K, R=R, W=W, num_warps=1 << W, enable_fp_fusion=False,
    )  # fmt: skip
    shifted(monkeypatch, far.start // 1024, 256)
    assert torch.equal(far.held, expected("fastfood", theta, [Piece(KEY, 4096)])[0])
    far.held.copy_(randn(4096))
    partial = torch.empty(1, 1024, device=DEVICE)
    fastfood_kernels.adjoint[(1,)](
        far.addresses, partial, *given, DTYPE=fastfood.TYPES[torch.float32], FOURS=True,
        K=K, R=R, W=W, num_warps=1 << W, num_stages=1,
    )  # fmt: skip
    with kernels.only("reference"):
        want = make("fastfood", 1000).adjoint(far.held.double(), KEY)
    assert error(partial[:, :1000], want[None]) < 1e-6


def test_hashed_beyond_two_to_the_31(monkeypatch: pytest.MonkeyPatch) -> None:
    far, theta, one = Far(), randn(5000), torch.ones(1, device=DEVICE)
    far.addresses[0, 1] = one.data_ptr()
    given = {"DTYPE": fastfood.TYPES[torch.float32], "FOURS": True, "SIZE": hashed.TILE}
    launch = (far.launch.table, far.launch.row_of, 5000)
    hashed_kernels.forward[(1,)](theta, far.addresses, *launch, START=False, SHARED=0, **given)
    shifted(monkeypatch, far.start // 4096, 1024)
    assert torch.equal(far.held, expected("hashed", theta, [Piece(KEY, 4096)])[0])
    sums = torch.zeros(1, 1, 5000, dtype=torch.int64, device=DEVICE)
    spoiled, unit = torch.zeros(1, 5000, device=DEVICE), torch.full((1,), 2.0**40, dtype=torch.float64, device=DEVICE)
    hashed_kernels.adjoint[(1,)](far.addresses, sums, spoiled, unit, *launch, 1, **given)
    with kernels.only("reference"):
        want = make("hashed", 5000).adjoint(far.held.double(), KEY)
    assert error(sums[0] / 2**40, want[None]) < 1e-6
    largest = torch.zeros(1, dtype=torch.int32, device=DEVICE)
    hashed_kernels.largest[(1,)](far.addresses, largest, *launch[:2], **given)
    assert largest.view(torch.float32) == far.held.abs().max()


@on_a_device
def test_fwht_beyond_two_to_the_31() -> None:
    x = torch.zeros(2**16 + 1, 2**15, device=DEVICE)
    x[-1] = randn(2**15)
    want = reference.fwht(x[-1:].clone())
    assert torch.equal(kernels.fwht_(x)[-1:], want)


# ---------------------------------------------------------------------- the transform


@pytest.mark.parametrize("log", range(16))
def test_fwht_equals_the_reference_to_the_last_bit(log: int) -> None:
    for rows in (2,) if log > 10 else (1, 5, 4096 // (1 << log) + 1):
        x = randn(rows, 1 << log)
        assert torch.equal(kernels.fwht_(x.clone()), reference.fwht(x)), rows


@pytest.mark.parametrize(("rows", "log", "first"), [(3, 16, 15), (1, 14, 9), (2, 12, 9), (1, 15, 10)])
def test_fwht_in_several_passes(rows: int, log: int, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`first` stages, then up to four a pass."""
    monkeypatch.setattr(transform, "LARGEST", 1 << first)
    x = randn(rows, 1 << log)
    assert torch.equal(kernels.fwht_(x.clone()), reference.fwht(x))


def test_fwht_in_place_and_of_no_rows() -> None:
    x = randn(2, 3, 64)
    assert kernels.fwht_(x) is x
    assert kernels.fwht_(torch.empty(0, 64, device=DEVICE)).shape == (0, 64)


# ---------------------------------------------------------------------- the border


def test_what_triton_does_not_serve_goes_to_the_reference() -> None:
    theta = randn(100).double()
    got = make("fastfood", 100).forward(theta, KEY, 500)
    with kernels.only("reference"):
        assert torch.equal(got, make("fastfood", 100).forward(theta, KEY, 500))
    assert kernels.find("sparse_forward", DEVICE, torch.float32) is None
    assert kernels.find("fastfood_forward", torch.device("meta"), torch.float32) is None


@pytest.mark.parametrize("name", NUMBERS)
def test_strided_input_is_read_as_it_stands(name: str) -> None:
    wide_theta, tall = randn(200, 3), randn(900, 2)
    made = make(name, 200)
    column, grad = wide_theta[:, 1].contiguous(), tall[:, 1].contiguous()
    assert torch.equal(made.forward(wide_theta[:, 1], KEY, 900), made.forward(column, KEY, 900))
    assert torch.equal(made.adjoint(tall[:, 1], KEY), made.adjoint(grad, KEY))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.fwht_(torch.ones(4, 4, device=DEVICE).t()[:2]), "must be contiguous, got a strided view"),
        (lambda: kernels.fwht_(torch.ones(4, device=DEVICE).half()), "must be float32 or float64, got torch.float16"),
        (lambda: make("hashed", 2**31), r"must be an integer in \[1, 2\^31\)"),
        (lambda: make("hashed", 8).forward(torch.ones(8, device=DEVICE).half(), KEY, 9), "theta must be float32"),
        (lambda: make("hashed", 8).forward(torch.ones(9, device=DEVICE), KEY, 9), "must be a vector of length 8"),
        (
            lambda: make("hashed", 8).weights(randn(8), [Piece(KEY, 9, torch.ones(9, device="meta"))]),
            "theta and W_0 must be on one device",
        ),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()  # type: ignore[operator]


@on_a_device
@pytest.mark.parametrize("name", NUMBERS)
def test_the_device_gives_the_same_bits_again_and_those_of_a_cpu(name: str) -> None:
    theta, grads = randn(3000), [randn(n, seed=1) for n in (3_000_000, 70_001)]
    forward, adjoint = NUMBERS[name]
    first = adjoint(grads, SEED, [1, 2], 3000)
    assert all(torch.equal(adjoint(grads, SEED, [1, 2], 3000), first) for _ in range(5))
    (made,) = forward(theta, SEED, [Piece(KEY, 3_000_000)])
    with kernels.only("reference"):
        assert torch.equal(made.cpu(), make(name, 3000).forward(theta.cpu(), KEY, 3_000_000))
