"""The task `squares`: noisy images of 8 x 8 with a bright square of side 0 to 4 somewhere, drawn from a seed."""

from __future__ import annotations

import numpy as np

from intrinsic.seeds import generator
from intrinsic.spec import TaskSpec
from intrinsic.tasks import TaskInfo
from intrinsic.tasks.base import ImageExamples, Loaded

SIDE, NUM_TRAIN, NUM_EVAL = 8, 256, 128


def load(info: TaskInfo, spec: TaskSpec) -> Loaded:
    """Both splits, the same on every call."""
    draw, count = generator(0, "outsider", "squares"), NUM_TRAIN + NUM_EVAL
    sides = draw.integers(0, len(info.label_names), count)
    images = draw.integers(0, 64, (count, 1, SIDE, SIDE), dtype=np.uint8)
    for image, side in zip(images, sides, strict=True):
        row, column = draw.integers(0, SIDE - side + 1, 2)
        image[0, row : row + side, column : column + side] = draw.integers(160, 256)
    whole = ImageExamples(images, sides.astype(np.int64))
    index = np.arange(count)
    train, evaluation = whole.take(index[:NUM_TRAIN]), whole.take(index[NUM_TRAIN:])
    return Loaded(train, evaluation, info.label_names, "drawn from a fixed seed")
