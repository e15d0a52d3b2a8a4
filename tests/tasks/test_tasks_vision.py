"""Images: idx files, copies of the Hub's sets, normalisation, and what an image processor would do."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from paths import shared_data
from task_folders import idx_folder, write_idx
from torch.utils.data import DataLoader

from intrinsic.errors import DataError, SpecError
from intrinsic.spec import TaskSpec
from intrinsic.tasks import TASKS, load_task
from intrinsic.tasks.base import ImageExamples, Task
from intrinsic.tasks.encode_vision import Process
from intrinsic.tasks.vision import read_idx


def mnist(folder: Path, **settings: Any) -> Task:
    return load_task(TaskSpec.model_validate({"name": "mnist", "data_dir": str(folder), **settings}))


def pixels(examples: object) -> np.ndarray:
    assert isinstance(examples, ImageExamples)
    return examples.pixels


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_folders(tmp_path: Path, suffix: str) -> None:
    task = mnist(idx_folder(tmp_path / "data", suffix))
    assert (task.kind, task.input_shape, task.num_train, task.num_eval) == ("vision", (1, 5, 4), 6, 4)
    assert task.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    expected = np.random.default_rng(0).integers(0, 256, (6, 5, 4))
    assert (pixels(task.train)[:, 0] == expected).all()
    assert "idx files in data" in task.description
    swapped = mnist(tmp_path / "data", splits=("test", "train"))
    assert (swapped.num_train, swapped.num_eval) == (4, 6)


def test_dotted_names_are_found_too(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "data")
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert mnist(folder).num_train == 6


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 2**32 - 1), st.booleans())
def test_idx_reads_back_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, shape: list[int], seed: int, zipped: bool
) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape)
    path = tmp_path_factory.getbasetemp() / ("x.gz" if zipped else "x")
    write_idx(path, array)
    assert (read_idx(path, len(shape)) == array).all()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("train-images-idx3-ubyte", b"", "is no idx file of 3 dimensions of unsigned bytes: it starts with ''"),
        ("train-images-idx3-ubyte", b"\x00\x00\x0d\x03" + bytes(12), "it starts with '00000d03'"),
        (
            "train-images-idx3-ubyte",
            b"\x00\x00\x08\x03" + b"\xff" * 12,
            "announces 4294967295 x 4294967295 x 4294967295",
        ),
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x03" + bytes(12), "announces 0 x 0 x 0 values but holds 0"),
        (
            "train-labels-idx1-ubyte",
            b"\x00\x00\x08\x01\x00\x00\x00\x05\x00\x01\x02\x03\x04",
            "has 6 train images but 5",
        ),
        ("train-labels-idx1-ubyte", b"\x00\x00\x08\x01\x00\x00\x00\x06\x00\x01\x02\x03\x04\x0b", "unknown label '11'"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    folder = idx_folder(tmp_path / "data")
    (folder / name).write_bytes(data)
    with pytest.raises(DataError, match=message):
        mnist(folder)


@pytest.mark.parametrize("keep", [0, 5, 30])
def test_truncated_gzip(tmp_path: Path, keep: int) -> None:
    folder = idx_folder(tmp_path / "data", ".gz")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz"):
        mnist(folder)


def test_missing_files_and_splits(tmp_path: Path) -> None:
    folder = idx_folder(tmp_path / "data")
    with pytest.raises(DataError, match="task 'mnist' has no split 'dev'; it has train, test"):
        mnist(folder, splits=("train", "dev"))
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError, match=r"has no t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz; data_dir is"):
        mnist(folder)
    with pytest.raises(DataError, match=r"no is no folder: expected train-images-idx3-ubyte\[.gz\]"):
        mnist(tmp_path / "no")


@pytest.mark.parametrize("file", [None, "notes.txt", "reviews.csv", "README.md", "picture.png"])
def test_a_wrong_folder_is_told_what_belongs_into_it(tmp_path: Path, file: str | None) -> None:
    if file is not None:
        (tmp_path / file).write_text("text,label\nnothing of the kind,0\n")
    expected = r"no idx files in .*: expected train-images-idx3-ubyte\[.gz\], train-labels-idx1-ubyte\[.gz\], t10k-"
    with pytest.raises(DataError, match=expected) as caught:
        mnist(tmp_path)
    assert "give --data-dir the folder" in str(caught.value)
    assert "Dataset" not in str(caught.value), "no words of the datasets library"


@pytest.mark.parametrize(("name", "mean", "std"), [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)])
def test_the_real_files_have_the_catalogues_statistics(name: str, mean: float, std: float) -> None:
    task = load_task(TaskSpec(name=name, data_dir=str(shared_data(name))))
    assert (task.num_train, task.num_eval, task.input_shape) == (60_000, 10_000, (1, 28, 28))
    counts, values = np.bincount(pixels(task.train).ravel(), minlength=256), np.arange(256) / 255
    average = np.average(values, weights=counts)
    spread = np.sqrt(np.average((values - average) ** 2, weights=counts))
    assert (average, spread) == pytest.approx((mean, std), abs=5e-5)
    assert TASKS[name].pixels is not None
    assert (TASKS[name].pixels.mean, TASKS[name].pixels.std) == (mean, std)  # type: ignore[union-attr]
    assert task.chance == pytest.approx({"mnist": 0.1135, "fashion-mnist": 0.1}[name])


def test_reference_nets_get_normalised_pixels(tmp_path: Path) -> None:
    prepared = mnist(idx_folder(tmp_path / "data")).prepare(None)
    item = prepared.train[2]
    raw = np.random.default_rng(0).integers(0, 256, (6, 5, 4))[2]
    assert item["pixel_values"].dtype == torch.float32
    assert item["pixel_values"].shape == (1, 5, 4)
    np.testing.assert_allclose(item["pixel_values"][0], (raw / 255 - 0.1307) / 0.3081, rtol=1e-5, atol=1e-6)
    batch = next(iter(DataLoader(prepared.train, batch_size=4, collate_fn=prepared.collate)))
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in batch.items()} == {
        "pixel_values": ((4, 1, 5, 4), torch.float32),
        "labels": ((4,), torch.int64),
    }


def hub_copy(root: Path, name: str, count: int = 12, size: tuple[int, int] = (6, 6)) -> tuple[Path, np.ndarray]:
    import datasets
    from PIL import Image

    images = np.random.default_rng(1).integers(0, 256, (count, *size), dtype=np.uint8)
    encoded = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, format="png")
        encoded.append({"bytes": buffer.getvalue(), "path": None})
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(TASKS[name].label_names))}
    )
    rows = {"image": encoded, "label": [i % 10 for i in range(count)]}
    data = datasets.Dataset.from_dict(rows, features=features)
    root.mkdir()
    datasets.disable_progress_bars()
    data.to_parquet(root / "train-00000-of-00001.parquet")
    data.select(range(4)).to_parquet(root / "test-00000-of-00001.parquet")
    datasets.enable_progress_bars()
    return root, images


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_copies_of_the_hubs_sets(tmp_path: Path, name: str) -> None:
    root, images = hub_copy(tmp_path / "copy", name)
    task = load_task(TaskSpec(name=name, data_dir=str(root)))
    assert (pixels(task.train)[:, 0] == images).all()
    assert (task.num_eval, task.input_shape, task.label_names) == (4, (1, 6, 6), TASKS[name].label_names)


def test_an_image_that_is_none(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(TASKS["mnist"].label_names))}
    )
    rows = {"image": [{"bytes": b"no picture", "path": None}] * 2, "label": [0, 1]}
    (tmp_path / "copy").mkdir()
    datasets.disable_progress_bars()
    for split in ("train", "test"):
        datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / f"copy/{split}-0.parquet")
    datasets.enable_progress_bars()
    with pytest.raises(DataError, match=r"split 'train' of .* holds an image that cannot be decoded"):
        mnist(tmp_path / "copy")


def processor(**settings: Any) -> Any:
    """A Hugging Face processor that works on numpy and PIL."""
    module = pytest.importorskip("transformers.models.vit.image_processing_pil_vit")
    return module.ViTImageProcessorPil(**settings)


@pytest.mark.parametrize(
    ("resample", "size", "steps"),
    [(2, (20, 24), 1), (2, (28, 28), 1), (2, (7, 9), 1), (3, (20, 24), 2), (3, (28, 28), 2), (3, (7, 9), 6)],
)
def test_an_image_processors_result(tmp_path: Path, resample: int, size: tuple[int, int], steps: int) -> None:
    """On noise, to so many 8-bit steps in the worst pixel: shrinking, Pillow passes vertically first, torch last."""
    root, images = hub_copy(tmp_path / "copy", "mnist", size=(14, 12))
    reference = processor(
        size={"height": size[0], "width": size[1]},
        resample=resample,
        image_mean=[0.5, 0.4, 0.3],
        image_std=[0.2, 0.3, 0.4],
    )
    prepared = mnist(root).prepare(reference)
    for i in range(3):
        wide = np.repeat(images[i][..., None], 3, axis=2)
        expected = reference(wide, return_tensors="np", input_data_format="channels_last")["pixel_values"][0]
        got = prepared.train[i]["pixel_values"]
        assert got.shape == expected.shape == (3, *size)
        np.testing.assert_allclose(got, expected, atol=(steps + 0.01) / 255 / 0.2)
        assert np.abs(got.numpy() - expected).mean() < 0.5 / 255 / 0.2


def test_digits_are_brought_to_eight_bits_for_a_processor() -> None:
    task = load_task(TaskSpec(name="digits"))
    transform = processor(size={"height": 8, "width": 8}, image_mean=[0, 0, 0], image_std=[1, 1, 1])
    got = task.prepare(transform).train[0]["pixel_values"]
    np.testing.assert_allclose(got, np.repeat(pixels(task.train)[0] / 16, 3, axis=0), atol=0.5 / 255)


def steps(**settings: Any) -> Process:
    base: dict[str, Any] = {
        "top": 255.0, "resize": None, "mode": "bilinear", "crop": None, "factor": 1.0,
        "mean": (0.0,) * 3, "std": (1.0,) * 3,
    }  # fmt: skip
    return Process(**(base | settings))


def test_shortest_edge_and_centre_crop() -> None:
    image = torch.arange(6 * 10, dtype=torch.uint8).reshape(1, 6, 10)
    assert steps(resize=3)(image).shape == (3, 3, 5)
    assert steps(resize=3)(image.transpose(1, 2)).shape == (3, 5, 3)
    assert steps(crop=(2, 4))(image)[1].tolist() == [[23, 24, 25, 26], [33, 34, 35, 36]]
    padded = steps(crop=(8, 10))(image)[0]
    assert padded[0].tolist() == padded[-1].tolist() == [0.0] * 10
    assert padded[1:-1].tolist() == image[0].tolist()


def test_settings_of_a_processor_are_respected(tmp_path: Path) -> None:
    task = mnist(idx_folder(tmp_path / "data"))
    raw = pixels(task.train)[0]
    plain = SimpleNamespace(image_mean=[9.0], image_std=[9.0], do_resize=False, do_normalize=False, do_rescale=False)
    np.testing.assert_array_equal(task.prepare(plain).train[0]["pixel_values"], np.repeat(raw, 3, axis=0))
    edge = SimpleNamespace(
        image_mean=[0.0] * 3, image_std=[1.0] * 3, do_resize=True, size=SimpleNamespace(shortest_edge=8), resample=2,
        do_center_crop=True, crop_size={"height": 6, "width": 6}, do_normalize=True, do_rescale=True,
        rescale_factor=1 / 510,
    )  # fmt: skip
    got = task.prepare(edge).train[0]["pixel_values"]
    assert got.shape == (3, 6, 6)
    assert 0 <= got.min() < got.max() <= 0.5


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (print, "vision task 'mnist' needs an image processor or None, got builtin_function_or_method"),
        (SimpleNamespace(image_mean=[0.0], crop_pct=0.9), "SimpleNamespace crops by a percentage"),
        (
            SimpleNamespace(image_mean=[0.0], image_std=[1.0], do_resize=True, size={"longest_edge": 8}),
            "size {'longest_edge': 8} names neither height and width nor shortest_edge",
        ),
        (
            SimpleNamespace(image_mean=[0.0], image_std=[1.0], do_resize=False, resample=1),
            "resamples with PIL's filter 1; supported",
        ),
    ],
)
def test_processors_that_are_not_understood(tmp_path: Path, bad: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        mnist(idx_folder(tmp_path / "data")).prepare(bad)
