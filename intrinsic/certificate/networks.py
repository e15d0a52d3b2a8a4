"""Networks at theta_0, which a message is laid over, and the features below them; from the grid and a seed alone.

    plain      the model as it is drawn (or loaded), every weight in the subspace, the head inside
    gabor      frozen Gabor filters over images, then a linear layer or one hidden layer in the subspace
    embedding  frozen mean-pooled states of a pretrained text model, then the same

Nothing here looks at the task's labels, or at more than one example at a time: features are normalised example by
example, never by statistics of the data, so that theta_0 is free of the data and needs no bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers.modeling_outputs import SequenceClassifierOutput

from intrinsic.certificate.gabor import gabor_features
from intrinsic.certificate.spec import Grid, Setting
from intrinsic.errors import SpecError
from intrinsic.models import load_model
from intrinsic.models.loaded import LoadedModel, hash_weights
from intrinsic.models.nets import he_normal
from intrinsic.models.pooling import masked_mean
from intrinsic.models.quiet import quiet, seeded
from intrinsic.seeds import derive
from intrinsic.spec import TaskSpec
from intrinsic.tasks import load_task
from intrinsic.tasks.base import Examples, ImageExamples, Prepared, Task, TextExamples
from intrinsic.training.batches import Batch, Indices, by_length, gather_batch

PASSES = ((250, False), (1000, True))
"""The two passes, (batch size, in reverse order): features, logits and errors are computed both ways."""


def batches(split: Dataset[Batch], number: int) -> Iterator[Indices]:
    """The examples of each batch of the first or the second pass; texts of like length together."""
    size, reverse = PASSES[number]
    order = np.concatenate(by_length(split, size))[:: -1 if reverse else 1]
    return (order[start : start + size] for start in range(0, len(order), size))


class Perceptron(nn.Module):
    """A linear layer, or one hidden layer of ReLUs and a linear one: features [B, F] -> .logits [B, labels].

    The hidden layer starts as He et al. 2015 draw it; the head starts at 0, so that it is the subspace's alone.
    """

    def __init__(self, width: int, hidden: int, num_labels: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, hidden) if hidden else None
        self.classifier = nn.Linear(hidden or width, num_labels)
        if self.hidden is not None:
            he_normal(self.hidden)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, features: Tensor) -> SequenceClassifierOutput:
        states = features if self.hidden is None else torch.relu(self.hidden(features))
        return SequenceClassifierOutput(logits=self.classifier(states))


class FeatureDataset(Dataset[Batch]):
    """Features with their labels. Items: features float32 [F], labels int64 []."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.labels = features, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Batch:
        return {"features": self.features[index], "labels": self.labels[index]}


@dataclass(frozen=True)
class FeaturePrepared:
    """A task's features, split by split, as training takes them."""

    train: FeatureDataset
    eval: FeatureDataset
    collate: Callable[[list[Batch]], Batch]


@dataclass(frozen=True)
class Network:
    """A model at theta_0, and the task's examples as it takes them."""

    loaded: LoadedModel
    prepared: tuple[Prepared, Prepared]
    """The examples for the first and the second pass; one object where nothing is computed in batches beforehand."""
    weights_sha256: str
    """The hash of theta_0, followed by that of the frozen model below it where there is one."""


@dataclass
class NetworkBuilder:
    """A builder of a grid's networks for its task; keeps what is costly to make between the candidates."""

    grid: Grid
    task: Task
    _kept: dict[object, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, grid: Grid, spec: TaskSpec) -> NetworkBuilder:
        """Load the task. Raises DataError and SpecError as load_task does, and SpecError for one without classes."""
        task = load_task(spec)
        task.problem.check_countable(task.name, "a certificate")
        return cls(grid, _relabelled(task, grid.seed) if grid.random_labels else task)

    def network(self, setting: Setting, seed: int) -> Network:
        """The network at theta_0 of the setting and seed. Raises SpecError for one of another kind than the task's."""
        root = derive(self.grid.seed, "certificate", "initialisation", seed)
        if setting.network == "plain":
            loaded = self._load(root)
            prepared = self._keep("plain", lambda: self.task.prepare(loaded.preprocessor))
            return Network(loaded, (prepared, prepared), hash_weights(loaded.model))
        first, second, frozen = self._keep(setting.network, partial(self._features, setting.network))
        with seeded(root):
            model = Perceptron(first.train.features.shape[1], setting.hidden, self.task.num_labels).eval()
        loaded = LoadedModel(
            model=model,
            preprocessor=None,
            head_names=("classifier",),
            embedding_names=(),
            revision=None,
            weights_sha256=frozen,
            description=f"{setting.network} features, {sum(p.numel() for p in model.parameters()):,} parameters",
        )
        return Network(loaded, (first, second), hash_weights(model) + frozen)

    def _load(self, root: int) -> LoadedModel:
        with quiet():
            return load_model(
                self.grid.model,
                num_labels=self.task.num_labels,
                problem=self.task.problem,
                kind=self.task.kind,
                input_shape=self.task.input_shape,
                seed=root,
            )

    def _keep(self, key: object, build: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = build()
        return self._kept[key]

    def _features(self, kind: str) -> tuple[FeaturePrepared, FeaturePrepared, str]:
        """The features by the first and the second pass, and a hash of what made them."""
        wanted = "vision" if kind == "gabor" else "text"
        if self.task.kind != wanted:
            raise SpecError(f"network {kind!r} is for {wanted} tasks, {self.task.name!r} is a {self.task.kind} task")
        if kind == "gabor":
            source, extract, frozen = self.task.prepare(None), _gabor, ""
        else:
            loaded = self._load(0)
            source, frozen = self.task.prepare(loaded.preprocessor), loaded.weights_sha256
            extract = partial(_embedding, loaded.model)
        return (*(_prepared(source, extract, number) for number in (0, 1)), frozen)  # type: ignore[return-value]


def _prepared(source: Prepared, extract: Callable[[Batch], Tensor], number: int) -> FeaturePrepared:
    train, evaluation = (_extracted(split, source.collate, extract, number) for split in (source.train, source.eval))
    return FeaturePrepared(train, evaluation, stack)


def stack(items: list[Batch]) -> Batch:
    """One batch of items of equal shapes."""
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def _extracted(
    split: Dataset[Batch], collate: Callable[[list[Batch]], Batch], extract: Callable[[Batch], Tensor], number: int
) -> FeatureDataset:
    made: list[Tensor] = []
    rows: list[Indices] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        for indices in batches(split, number):
            batch = dict(gather_batch(split, collate, indices))
            labels.append(batch.pop("labels"))
            made.append(extract(batch))
            rows.append(indices)
    order = torch.from_numpy(np.argsort(np.concatenate(rows), kind="stable"))
    return FeatureDataset(torch.cat(made)[order], torch.cat(labels)[order])


def _gabor(batch: Batch) -> Tensor:
    return gabor_features(batch["pixel_values"])


def _embedding(model: nn.Module, batch: Batch) -> Tensor:
    """The mean over the tokens of every layer's states, each layer's brought to mean 0 and variance 1."""
    backbone: Any = model.backbone
    states = backbone(**batch, output_hidden_states=True).hidden_states
    means = torch.stack([masked_mean(state, batch["attention_mask"]) for state in states], dim=1)
    return nn.functional.layer_norm(means, means.shape[-1:]).flatten(1)


def _relabelled(task: Task, seed: int) -> Task:
    """The task with labels drawn uniformly: no function can be right more often than by chance."""
    drawn = np.random.Philox(key=derive(seed, "certificate", "labels"))
    return replace(
        task, train=_drawn(task.train, task.num_labels, drawn), eval=_drawn(task.eval, task.num_labels, drawn)
    )


def _drawn(examples: Examples, num_labels: int, source: np.random.Philox) -> Examples:
    labels = (source.random_raw(len(examples)) >> np.uint64(32)) % np.uint64(num_labels)
    made: ImageExamples | TextExamples = replace(examples, labels=labels.astype(np.int64))
    return made
