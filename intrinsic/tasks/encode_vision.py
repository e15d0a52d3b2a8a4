"""Conversion of images to pixel_values: by the catalogue's statistics for reference nets, or by an image processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from intrinsic.errors import SpecError
from intrinsic.problems import Problem
from intrinsic.tasks.base import Examples, ImageExamples, Task
from intrinsic.tasks.catalogue import Pixels

Item = dict[str, Tensor]
_MODES = {2: "bilinear", 3: "bicubic"}
"""Modes of torch's interpolation by PIL's number of the filter; torch's nearest picks other pixels than PIL's."""


@dataclass(frozen=True)
class Normalise:
    """Transform for reference nets: (x / top - mean) / std; channels and size stay as they are."""

    pixels: Pixels

    def __call__(self, image: Tensor) -> Tensor:
        return (image.float() / self.pixels.top - self.pixels.mean) / self.pixels.std


@dataclass(frozen=True)
class Process:
    """Transform of one uint8 image [C, H, W] that does with torch alone what a Hugging Face image processor does.

    The steps, in order: 8 bits, three channels, resize (antialiased and rounded to 8 bits), centre crop, rescale,
    normalise. Enlarging 28 x 28 to 224 x 224 gives Pillow's result exactly (bilinear) or to one 8-bit step
    (bicubic); when shrinking, Pillow passes vertically first and single pixels differ by a few steps.
    """

    top: float
    """Largest value of a pixel; pixels are scaled to 0..255, which processors expect."""
    resize: tuple[int, int] | int | None
    """Target (height, width), or length of the shorter edge; None: no resize."""
    mode: str
    """Mode of torch's interpolation."""
    crop: tuple[int, int] | None
    """Size (height, width) of the centre crop; None: no crop."""
    factor: float
    """Factor of the rescaling; 1: none."""
    mean: tuple[float, ...]
    """Mean of each channel, subtracted after the rescaling."""
    std: tuple[float, ...]
    """Standard deviation of each channel, by which is divided."""

    def __call__(self, image: Tensor) -> Tensor:
        wide = (image.float() * (255.0 / self.top)).round().to(torch.uint8)
        wide = wide.expand(3, -1, -1) if len(wide) == 1 else wide
        if self.resize is not None:
            wide = _resized(wide, self.resize, self.mode)
        if self.crop is not None:
            wide = _cropped(wide, self.crop)
        shape = (-1, 1, 1)
        mean, std = torch.tensor(self.mean).view(shape), torch.tensor(self.std).view(shape)
        return (wide * self.factor - mean) / std


def _resized(image: Tensor, size: tuple[int, int] | int, mode: str) -> Tensor:
    height, width = image.shape[1:]
    if isinstance(size, int):
        size = (size, size * width // height) if height <= width else (size * height // width, size)
    return functional.interpolate(image[None], size=size, mode=mode, antialias=True, align_corners=False)[0]


def _cropped(image: Tensor, size: tuple[int, int]) -> Tensor:
    """The centre of the image at this size; what lies outside the image is 0."""
    missing = [max(0, want - have) for want, have in zip(size, image.shape[1:], strict=True)]
    top, left = missing[0] // 2, missing[1] // 2
    image = functional.pad(image, (left, missing[1] - left, top, missing[0] - top))
    start = [(have - want) // 2 for want, have in zip(size, image.shape[1:], strict=True)]
    return image[:, start[0] : start[0] + size[0], start[1] : start[1] + size[1]]


class ImageDataset(Dataset[Item]):
    """Dataset of pixel_values float32 [C, H, W], transformed on access, and labels as the problem encodes them."""

    def __init__(
        self, examples: ImageExamples, labels: Sequence[Tensor], transform: Callable[[Tensor], Tensor]
    ) -> None:
        self._pixels = torch.from_numpy(examples.pixels.copy())
        self._labels, self._transform = labels, transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> Item:
        return {"pixel_values": self._transform(self._pixels[index]), "labels": self._labels[index]}


def stack(items: list[Item]) -> Item:
    """The items as one batch: each tensor gets a batch dimension in front."""
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


@dataclass(frozen=True)
class StackCollate:
    """Function from items to a batch: pixel_values [B, C, H, W], and the labels as the problem collates them."""

    problem: Problem

    def __call__(self, items: list[Item]) -> Item:
        return self.problem.collate(items, stack)


@dataclass(frozen=True)
class VisionPrepared:
    """Both splits as pixel values."""

    train: ImageDataset
    eval: ImageDataset
    collate: StackCollate


def prepare(task: Task, processor: Any) -> VisionPrepared:
    """Set up both splits for an image processor; None: the catalogue's normalisation.

    Raises SpecError for an object that is no image processor, or one whose steps are not supported.
    """
    assert task.pixels is not None, task.name
    transform = Normalise(task.pixels) if processor is None else _from_processor(task, processor)
    train, evaluation = (_dataset(task.problem, examples, transform) for examples in (task.train, task.eval))
    return VisionPrepared(train, evaluation, StackCollate(task.problem))


def _dataset(problem: Problem, examples: Examples, transform: Callable[[Tensor], Tensor]) -> ImageDataset:
    assert isinstance(examples, ImageExamples)
    return ImageDataset(examples, problem.encoded(examples.labels, None), transform)


def _from_processor(task: Task, processor: Any) -> Process:
    if not hasattr(processor, "image_mean"):
        raise SpecError(f"vision task {task.name!r} needs an image processor or None, got {type(processor).__name__}")
    if getattr(processor, "crop_pct", None) is not None:
        raise SpecError(f"{type(processor).__name__} crops by a percentage, which is not supported")
    assert task.pixels is not None
    normalise = bool(getattr(processor, "do_normalize", False))
    rescale = bool(getattr(processor, "do_rescale", True))
    return Process(
        top=task.pixels.top,
        resize=_size(processor.size) if getattr(processor, "do_resize", False) else None,
        mode=_mode(getattr(processor, "resample", None)),
        crop=_pair(processor.crop_size) if getattr(processor, "do_center_crop", False) else None,
        factor=float(getattr(processor, "rescale_factor", None) or 1 / 255) if rescale else 1.0,
        mean=tuple(processor.image_mean) if normalise else (0.0,) * 3,
        std=tuple(processor.image_std) if normalise else (1.0,) * 3,
    )


def _mode(resample: Any) -> str:
    number = 2 if resample is None else int(resample)
    if number not in _MODES:
        raise SpecError(f"the image processor resamples with PIL's filter {number}; supported: {_MODES}")
    return _MODES[number]


def _size(size: Any) -> tuple[int, int] | int:
    edge = _get(size, "shortest_edge")
    return int(edge) if edge is not None else _pair(size)


def _pair(size: Any) -> tuple[int, int]:
    height, width = _get(size, "height"), _get(size, "width")
    if height is None or width is None:
        raise SpecError(f"the image processor's size {size!r} names neither height and width nor shortest_edge")
    return int(height), int(width)


def _get(size: Any, name: str) -> Any:
    """One entry of a size, which processors keep as a dict or as a SizeDict object, depending on the version."""
    return size.get(name) if isinstance(size, dict) else getattr(size, name, None)
