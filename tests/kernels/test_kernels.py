"""Every way to compute a kernel gives the reference's numbers: backends, instruction sets, threads, shapes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor

from intrinsic import kernels
from intrinsic.errors import SpecError, UnknownName
from intrinsic.kernels import library, reference
from intrinsic.kernels.chunks import ROWS_A_UNIT
from intrinsic.kernels.pieces import Piece
from intrinsic.projections import Projection, make_projection

CPU = torch.device("cpu")
PATHS = ["reference", "numba", *(f"native {name}" for name in library.available())]
FAST = PATHS[1:]
SIZES = (1, 7, 384, 1000, 5000, 70001)
DIMS = {
    "fastfood": (1, 2, 3, 5, 16, 20, 64, 100, 128, 129, 1000, 5000, 70000),
    "hashed": (1, 3, 32, 33, 100, 1000, 70000),
    "sparse": (1, 3, 100, 1000, 70000),
    "dense": (1, 5, 129),
}
SMALL = [("fastfood", 2), ("fastfood", 20), ("hashed", 20)]
"""With kernels or sums of their own."""
CASES = [(name, d) for name, dims in DIMS.items() for d in dims]
KEY = 0xFEDCBA9876543210


@contextmanager
def using(path: str) -> Iterator[None]:
    """`path` is a backend, and for the C kernels the instruction set."""
    backend, _, instructions = path.partition(" ")
    with kernels.only(backend), library.only_instructions(instructions) if instructions else nullcontext():
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make(name: str, d: int) -> Projection:
    """Sparse with four entries a row, whatever d is."""
    return make_projection(name, d, seed=2**63 + 5, full_dim=max(1, d * d // 16))


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def sizes(name: str) -> tuple[int, ...]:
    return SIZES[:-1] if name == "dense" else SIZES


def layer(name: str) -> list[Piece]:
    """Tensors of every size, with and without W_0 and lambda; one W_0 in half precision, one transposed."""
    pieces = []
    for i, n in enumerate(sizes(name)):
        start: Tensor | None = randn(n)
        if n == 1000:
            start = randn(n).to(torch.bfloat16)
        if n == 384:
            start = randn(24, 16).t()
        pieces.append(Piece(KEY + i, n, None if n == 7 else start, torch.tensor(0.7) if i % 2 else None))
    return pieces


def same(got: list[Tensor], want: list[Tensor]) -> bool:
    return all(g.shape == w.shape and g.dtype == w.dtype and torch.equal(g, w) for g, w in zip(got, want, strict=True))


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(("name", "d"), CASES)
def test_weights_of_a_layer_equal_the_reference_to_the_last_bit(name: str, d: int, path: str) -> None:
    theta = randn(d)
    with kernels.only("reference"):
        want = make(name, d).weights(theta, layer(name))
    with using(path):
        assert same(make(name, d).weights(theta, layer(name)), want)
        alone = [make(name, d).weights(theta, [piece])[0] for piece in layer(name)]
    assert same(alone, want)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "d"), CASES)
def test_adjoints_agree_with_float64(name: str, d: int, path: str) -> None:
    grads = [randn(n, seed=1) for n in sizes(name)]
    keys = [KEY + i for i in range(len(grads))]
    with kernels.only("reference"):
        want = make(name, d).adjoints([grad.double() for grad in grads], keys)
    with using(path):
        got = make(name, d).adjoints(grads, keys)
        alone = torch.stack([make(name, d).adjoint(grad, key) for grad, key in zip(grads, keys, strict=True)])
    assert got.dtype == torch.float32
    assert torch.equal(got, alone)
    size = torch.stack([grad.double().norm() for grad in grads])  # E||P^T g|| is ||g||, and a sum may cancel below it
    assert float(((got - want).norm(dim=1) / size).max()) < 1e-6


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "d"), [*((name, 129) for name in DIMS), *SMALL])
def test_the_number_of_threads_changes_no_bit(name: str, d: int, path: str) -> None:
    theta, grads = randn(d), [randn(n, seed=1) for n in (*sizes(name), 1 if name == "dense" else 600_001)]
    made = []
    for count in (1, 2, 3):
        with using(path), threads(count):
            pulled = make(name, d).adjoints(grads, range(len(grads)))
            made.append([*make(name, d).weights(theta, layer(name)), pulled])
    if name == "dense":  # a product inside BLAS may split its sums by thread; P itself may not depend on them
        made = [[make(name, d).to_dense(KEY, 300)] for count in (1, 2, 3) for _ in [torch.set_num_threads(count)]]
        torch.set_num_threads(1)
    assert same(made[1], made[0])
    assert same(made[2], made[0])


@contextmanager
def last_rows(row: int, unit: int) -> Iterator[None]:
    """The C kernels take a tensor for the last rows of one that no memory holds, which begin at `row`."""
    run = library.run

    def moved(kernel: int, job: library.Job, chunks: int) -> None:
        tasks = (library.Task * job.task_count).from_address(job.tasks)
        before = [(task.first_chunk, task.start, task.out, task.n) for task in tasks]
        for task in tasks:
            task.chunk_units = 1 << (task.chunk_units - 1).bit_length()  # all in one chunk, still
            task.first_chunk -= row // (unit * task.chunk_units)
            task.start, task.out = (place and (place - 4 * row) % 2**64 for place in (task.start, task.out))
            task.n += row
        run(kernel, job, chunks)
        for task, held in zip(tasks, before, strict=True):
            task.first_chunk, task.start, task.out, task.n = held

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(library, "run", moved)
        yield


@pytest.mark.parametrize("instructions", library.available())
@pytest.mark.parametrize(("name", "d"), [("fastfood", 2), ("fastfood", 50), ("fastfood", 1000), ("hashed", 100)])
def test_rows_past_two_to_the_forty(name: str, d: int, instructions: str) -> None:
    """Counters of more than 32 bits: against the reference with its own counters moved as far."""
    p, row = reference.block_size(d), 2**40
    blocks, counters = row // p, max(1, p // 4)
    moved = {0: row // 4} if name == "hashed" else {0: blocks * counters, 1: 4 * blocks}
    philox, theta, grad = reference.philox, randn(d), randn(3000)
    with kernels.only("reference"), pytest.MonkeyPatch.context() as patched:
        patched.setattr(reference, "philox", lambda i, seed, key, stream: philox(i + moved[stream], seed, key, stream))
        weights, pulled = make(name, d).forward(theta, KEY, 3000), make(name, d).adjoint(grad.double(), KEY)
    unit = p if name == "fastfood" and p >= 128 else ROWS_A_UNIT
    with last_rows(row, unit), using(f"native {instructions}"):
        assert torch.equal(make(name, d).forward(theta, KEY, 3000), weights)
        assert float((make(name, d).adjoint(grad, KEY) - pulled).norm() / grad.norm()) < 1e-6


@pytest.mark.parametrize("path", FAST)
@pytest.mark.parametrize(("name", "d"), [("fastfood", 200), ("hashed", 200), ("sparse", 200), *SMALL])
def test_nan_reaches_what_the_reference_says(name: str, d: int, path: str) -> None:
    theta, grad = randn(d), randn(5000)
    theta[-1] = grad[4321] = float("nan")
    with kernels.only("reference"):
        forward, adjoint = make(name, d).forward(theta, KEY, 5000), make(name, d).adjoint(grad, KEY)
    assert forward.isnan().any()
    assert adjoint.isnan().any()
    with using(path):
        assert torch.equal(make(name, d).forward(theta, KEY, 5000).isnan(), forward.isnan())
        assert torch.equal(make(name, d).adjoint(grad, KEY).isnan(), adjoint.isnan())


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("name", "d"), [("fastfood", 150), ("hashed", 150), ("sparse", 150), *SMALL])
def test_a_gradient_of_zeros_gives_zeros_and_one_entry_its_row(name: str, d: int, path: str) -> None:
    grad = torch.zeros(3000)
    with using(path):
        assert not make(name, d).adjoint(grad, KEY).any()
        grad[2999] = 1
        row = make(name, d).adjoint(grad, KEY)
    torch.testing.assert_close(row.double(), make(name, d).to_dense(KEY, 3000)[2999], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", PATHS)
def test_fwht_is_the_hadamard_matrix(path: str) -> None:
    for p in (1, 2, 4, 8, 16, 32, 64, 512):
        x = randn(5, p)
        want = x.double() @ torch.from_numpy(hadamard(p).astype(float))
        with using(path):
            got = kernels.fwht_(x)
        assert got is x
        torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("path", FAST)
def test_fwht_gives_the_same_bits_on_every_path(path: str, count: int) -> None:
    shapes = [(rows, 1 << log) for log in range(18) for rows in (1, 3, 17) if rows << log <= 1 << 17]
    for rows, p in [*shapes, (2, 1 << 19), (1, 1 << 21), (1, 1 << 23)]:
        x = randn(rows, p)
        with using(path), threads(count):
            assert torch.equal(kernels.fwht_(x.clone()), reference.fwht(x)), (rows, p)


def test_fwht_of_float64_and_of_no_rows() -> None:
    x = randn(3, 256).double()
    assert torch.equal(kernels.fwht_(x.clone()), reference.fwht(x))
    assert kernels.fwht_(torch.empty(0, 8)).shape == (0, 8)


@pytest.mark.parametrize("path", FAST)
def test_gaussians_and_words_begin_anywhere(path: str) -> None:
    for start in (0, 1, 7, 123_457, 8 * 2**32 - 100, 2**40 + 3):
        with kernels.only("reference"):
            gauss = kernels.gaussian_matrix(3, KEY, 1, start, (3, 1111), CPU, torch.float32)
            words = kernels.words(3, KEY, 1, start, 1111, CPU)
        with using(path):
            assert torch.equal(kernels.gaussian_matrix(3, KEY, 1, start, (3, 1111), CPU, torch.float32), gauss)
            assert torch.equal(kernels.words(3, KEY, 1, start, 1111, CPU), words)


@pytest.mark.parametrize("path", PATHS)
def test_a_backward_pass_that_needs_what_fwht_wrote_over_says_so(path: str) -> None:
    x, w = torch.ones(2, 1024), torch.ones(2, 1024, requires_grad=True)
    product = (w * x).sum()
    with using(path):
        kernels.fwht_(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.backward()
    with torch.inference_mode(), using(path):
        kernels.fwht_(torch.ones(2, 1024))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernels.fwht_(torch.ones(3)), r"must be a power of two, got shape \(3,\); pad with zeros"),
        (lambda: kernels.fwht_(torch.ones(4, 0)), "must be a power of two"),
        (lambda: kernels.fwht_(torch.tensor(1.0)), "must be a power of two"),
        (lambda: kernels.fwht_([1.0, 2.0]), "x must be a tensor, got list"),
        (lambda: kernels.fwht_(torch.ones(4, device="meta")), "x must be a tensor, got one on the meta device"),
        (lambda: kernels.fwht_(torch.ones(4).half()), "must be float32 or float64, got torch.float16"),
        (lambda: kernels.fwht_(torch.ones(4, 4).t()[:2]), "must be contiguous"),
        (lambda: kernels.fwht_(torch.ones(4, requires_grad=True)), "takes part in a graph, .*give x.detach"),
        (lambda: make("fastfood", 2**31), "dim must be an integer"),
        (
            lambda: make("fastfood", 8).adjoints([], []),
            "expected one key for each of one or more gradients, got 0 and 0",
        ),
        (lambda: make("hashed", 8).adjoints([torch.ones(9)], [1, 2]), "one key for each .*, got 1 and 2"),
        (
            lambda: make("hashed", 8).adjoints([torch.ones(9), torch.ones(9).double()], [1, 2]),
            "must share dtype and device, got torch.float32 on cpu and torch.float64 on cpu",
        ),
        (lambda: make("fastfood", 8).adjoint(torch.ones(9), -1), r"a key must be an integer in \[0, 2\^64\), got -1"),
        (lambda: make("fastfood", 8).forward(torch.ones(8), 2**64, 9), "a key must be an integer"),
        (lambda: make("fastfood", 8).forward(torch.ones(8).int(), KEY, 9), "theta must be float32 or float64"),
        (lambda: make("fastfood", 8).adjoint(torch.ones(9).half(), KEY), "grad must be float32 or float64"),
        (lambda: make("fastfood", 8).weights(torch.ones(8), [Piece(KEY, 9, torch.ones(8))]), "W_0 must have n = 9"),
        (
            lambda: make("fastfood", 8).weights(torch.ones(8), [Piece(KEY, 9, torch.ones(9, device="meta"))]),
            "must be on one device, got cpu and meta",
        ),
    ],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        call()  # type: ignore[operator]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["fastfood", "hashed", "sparse"])
def test_strided_input_is_read_as_it_stands(name: str, path: str) -> None:
    wide, tall = randn(200, 3), randn(900, 2)
    with using(path):
        made = make(name, 200)
        assert torch.equal(made.forward(wide[:, 1], KEY, 900), made.forward(wide[:, 1].contiguous(), KEY, 900))
        assert torch.equal(made.adjoint(tall[:, 1], KEY), made.adjoint(tall[:, 1].contiguous(), KEY))


def test_an_unknown_backend_or_instruction_set_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="unknown kernel backend 'cuda'; available: auto, native, numba"):
        kernels.only("cuda").__enter__()
    with pytest.raises(UnknownName, match="unknown instruction set 'sse9'"):
        library.only_instructions("sse9").__enter__()
