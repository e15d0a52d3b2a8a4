"""Which examples a step sees: decided by the data seed alone."""

from __future__ import annotations

import pytest
from toy import ToyTask

from intrinsic.spec import OptimSpec
from intrinsic.training.batches import Share, TrainBatches, by_length, epoch_order, step_indices


def test_every_epoch_sees_every_example_once_in_another_order() -> None:
    epochs = [epoch_order(0, epoch, 50) for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in epochs)
    assert len({tuple(order) for order in epochs}) == 3
    assert tuple(epoch_order(1, 0, 50)) != tuple(epochs[0])


def test_steps_do_not_straddle_epochs_and_fractions_of_epochs_round_up() -> None:
    optim = OptimSpec(epochs=1.5, batch_size=8, accumulate=2)
    assert optim.total_steps(50) == 6
    sizes = [len(indices) for indices in step_indices(optim, 0, 50)]
    assert sizes == [16, 16, 16, 2, 16, 16]
    assert OptimSpec(epochs=3, batch_size=10).total_steps(30) == 9
    assert OptimSpec(epochs=0.01).total_steps(64) == 1
    assert OptimSpec(steps=7).total_steps(64) == 7


def test_processes_divide_a_step_among_them() -> None:
    optim = OptimSpec(epochs=1, batch_size=4, accumulate=2)
    data = ToyTask(num_train=17).prepare(None).train
    shares = [TrainBatches(data, lambda items: items, optim, 0, Share(rank, 3)) for rank in range(3)]
    for step, indices in zip(zip(*shares, strict=True), step_indices(optim, 0, 17), strict=True):
        micros = [micro for rank in step for micro in rank]
        seen = [id(item["labels"]) for micro in micros if micro.weight for item in micro.batch]
        assert sorted(seen) == sorted(id(data[int(i)]["labels"]) for i in indices)
        assert sum(micro.weight for micro in micros) == pytest.approx(1)
        assert all(micro.batch for micro in micros)  # also where the weight is 0
        assert len({len(rank) for rank in step}) == 1


def test_evaluation_batches_hold_texts_of_like_length() -> None:
    data = ToyTask().prepare(None).eval
    batches = by_length(data, 8)
    lengths = [len(data[int(i)]["input_ids"]) for batch in batches for i in batch]
    assert lengths == sorted(lengths, reverse=True)
    assert sorted(i for batch in batches for i in batch) == list(range(50))
