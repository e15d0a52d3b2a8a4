"""A pretrained transformer for a task: its backbone from the checkpoint, its head from the seed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import torch
import transformers
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    PreTrainedModel,
)

from intrinsic.errors import ModelError
from intrinsic.models.folder import asks_for_mean, check_folder, one_line, read_json, weight_files
from intrinsic.models.hub import locate
from intrinsic.models.layers import depth, truncate
from intrinsic.models.loaded import LoadedModel, count, embedding_names, hash_weights
from intrinsic.models.pooling import MeanPooled
from intrinsic.models.preprocessor import fit_preprocessor, load_preprocessor
from intrinsic.models.quiet import built, quiet, seeded
from intrinsic.problems import Problem
from intrinsic.spec import Inputs, ModelSpec
from intrinsic.subspace.layout import is_under

POOLER = "pooler"
"""Name of the module that checkpoints may lack: it is then part of the fresh head."""


@dataclass(frozen=True)
class _Settled:
    """The settings of a model as they stand before any weight is read."""

    folder: Path
    config: Any
    pooling: Literal["cls", "mean"]
    kind: Inputs
    problem: Problem
    num_labels: int
    trust_remote_code: bool
    seed: int
    weights: bool
    """Whether weights are read; False: the architecture alone, on the meta device."""


def load(
    spec: ModelSpec,
    *,
    num_labels: int,
    problem: Problem,
    kind: Inputs,
    input_shape: tuple[int, int, int] | None,
    seed: int,
    weights: bool,
) -> LoadedModel:
    """Load a model from the offline package, a folder, or the Hub; see :func:`intrinsic.models.load_model`.

    The pooling `cls` takes the architecture's own classification model (a T5 runs both stacks and reads its decoder),
    `mean` the masked mean over the backbone (of an encoder-decoder: over its encoder alone), `auto` the mean if the
    folder asks for the mean as sentence-transformers do, else `cls`.

    The head is always drawn from the seed, even if the checkpoint has a head of its own, so that no task starts ahead
    of another. Weights become float32 whatever the checkpoint holds, because theta_0 + P theta_d moves weights by less
    than a bfloat16 resolves. A checkpoint that lacks part of the backbone is refused with a ModelError.
    """
    with quiet():
        source = locate(spec, kind)
        check_folder(source.folder, kind)
        config = _config(spec, source.folder)
        total = depth(config)
        if spec.layers is not None:
            truncate(config, spec.layers)
        pooling = _pooling(spec, source.folder, kind)
        preprocessor = load_preprocessor(source.folder, kind, config, spec.trust_remote_code)
        config.num_labels, config.use_cache = num_labels, False
        config.problem_type = problem.problem_type
        plan = _Settled(
            source.folder, config, pooling, kind, problem, num_labels, spec.trust_remote_code, seed, weights
        )
        with built(weights):
            model, head_names = _mean_model(plan) if pooling == "mean" else _own_model(plan)
        fit_preprocessor(preprocessor, kind, model)
    model.eval()
    layers = f"{depth(config)} of {total} layers, " if total else ""
    return LoadedModel(
        model=model,
        preprocessor=preprocessor,
        head_names=head_names,
        embedding_names=embedding_names(model),
        revision=source.revision,
        weights_sha256=hash_weights(model, without=head_names) if weights else "",
        description=f"{config.model_type}, {layers}{pooling} pooling, {count(model):,} parameters",
    )


def _config(spec: ModelSpec, folder: Path) -> Any:
    told = read_json(folder / "config.json")
    if told["model_type"] not in CONFIG_MAPPING and "auto_map" not in told:
        raise ModelError(
            f"the model in {folder} is a {told['model_type']!r}, which transformers {transformers.__version__} does "
            "not know: upgrade transformers if it is newer than that"
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=spec.trust_remote_code)
    except Exception as error:
        raise _untangle(folder, "its configuration", error, spec.trust_remote_code) from error
    if getattr(config, "quantization_config", None):
        raise ModelError(f"{folder} holds quantised weights, which cannot be moved by real amounts: take the original")
    return config


def _pooling(spec: ModelSpec, folder: Path, kind: Inputs) -> Literal["cls", "mean"]:
    if spec.pooling != "auto":
        return spec.pooling
    return "mean" if kind == "text" and asks_for_mean(folder) else "cls"


def _own_model(plan: _Settled) -> tuple[nn.Module, tuple[str, ...]]:
    """The architecture's classification model: a shell with a fresh head, given the checkpoint's backbone."""
    auto: Any = getattr(transformers, plan.problem.auto_classes[plan.kind])
    with seeded(plan.seed), _explained(plan, f"a {plan.kind} classification model; try --pooling mean"):
        # One layer is enough, because the shell's own backbone is thrown away. The head then depends on the seed alone
        # and not on the number of layers that stay.
        shell = auto.from_config(_shallow(plan.config), dtype=torch.float32, trust_remote_code=plan.trust_remote_code)
    prefix = shell.base_model_prefix
    own = getattr(shell, prefix, None)
    if not isinstance(own, PreTrainedModel):
        raise ModelError(f"{plan.config.model_type} keeps its backbone in an unknown place: use --pooling mean")
    uses_pooler = getattr(own, POOLER, None) is not None
    backbone, fresh = _backbone(plan, type(own), uses_pooler)
    setattr(shell, prefix, backbone)
    shell.config = backbone.config
    heads = {name.split(".")[0] for name, _ in shell.named_parameters() if not is_under(name, (prefix,))}
    return cast(nn.Module, shell), tuple(sorted(heads | {f"{prefix}.{name}" for name in fresh}))


def _mean_model(plan: _Settled) -> tuple[nn.Module, tuple[str, ...]]:
    if not isinstance(getattr(plan.config, "hidden_size", None), int):
        raise ModelError(f"{plan.config.model_type} has no sequence of hidden states to average: use --pooling cls")
    backbone, _ = _backbone(plan, AutoModel, uses_pooler=False)
    with seeded(plan.seed):
        return MeanPooled(backbone, plan.num_labels), ("classifier",)


def _shallow(config: Any) -> Any:
    shallow = deepcopy(config)
    if depth(config):
        truncate(shallow, 1)
    return shallow


def _backbone(plan: _Settled, cls: Any, uses_pooler: bool) -> tuple[PreTrainedModel, set[str]]:
    """The backbone from the checkpoint, and the names of its fresh parts: a used pooler that the checkpoint lacks."""
    with seeded(plan.seed), _explained(plan, "its weights"):
        backbone, report = _from_checkpoint(plan, cls) if plan.weights else _from_configuration(plan, cls)
    if plan.pooling == "mean" and getattr(plan.config, "is_encoder_decoder", False):
        backbone = backbone.get_encoder()
        report["missing_keys"] = {key for key in report["missing_keys"] if not key.startswith("decoder.")}
    if not uses_pooler and getattr(backbone, POOLER, None) is not None:
        backbone.pooler = None
    fresh = {key for key in report["missing_keys"] if is_under(key, (POOLER,))}
    _check_shapes(plan.folder, sorted(report["mismatched_keys"]))
    _check_covered(plan.folder, sorted(set(report["missing_keys"]) - fresh))
    if plan.weights:
        _check_finite(plan.folder, backbone)
    return backbone, {POOLER} if fresh and uses_pooler else set()


def _from_checkpoint(plan: _Settled, cls: Any) -> tuple[Any, dict[str, Any]]:
    """The backbone with its weights, and transformers' report on tensors that were missing or did not fit."""
    options: dict[str, Any] = {"trust_remote_code": plan.trust_remote_code} if cls is AutoModel else {}
    made: tuple[Any, dict[str, Any]] = cls.from_pretrained(
        plan.folder,
        config=plan.config,
        dtype=torch.float32,
        local_files_only=True,
        use_safetensors=weight_files(plan.folder)[0].suffix == ".safetensors",
        ignore_mismatched_sizes=True,  # so that _check_shapes names them
        output_loading_info=True,
        **options,
    )
    return made


def _from_configuration(plan: _Settled, cls: Any) -> tuple[Any, dict[str, Any]]:
    generic = cls is AutoModel
    options: dict[str, Any] = {"trust_remote_code": plan.trust_remote_code} if generic else {}
    made = (cls.from_config if generic else cls._from_config)(plan.config, dtype=torch.float32, **options)
    return made, {"missing_keys": set(), "mismatched_keys": set()}


def _check_shapes(folder: Path, mismatched: list[tuple[str, Any, Any]]) -> None:
    if mismatched:
        name, stored, expected = mismatched[0]
        raise ModelError(
            f"the weights in {folder} do not fit its config.json: {name} has shape {tuple(stored)} and the "
            f"configuration asks for {tuple(expected)} ({len(mismatched)} such tensors): fetch both again"
        )


def _check_covered(folder: Path, missing: list[str]) -> None:
    if missing:
        names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ModelError(
            f"the weights in {folder} lack {len(missing)} tensors of the backbone ({names}), which would start at "
            "random: expected a checkpoint of this very architecture"
        )


def _check_finite(folder: Path, model: nn.Module) -> None:
    bad = [name for name, parameter in model.named_parameters() if not bool(torch.isfinite(parameter).all())]
    if bad:
        raise ModelError(f"the weights in {folder} are not finite in {bad[0]}: fetch them again")


@contextmanager
def _explained(plan: _Settled, what: str) -> Iterator[None]:
    """Turn whatever a library raises into one ModelError."""
    try:
        yield
    except Exception as error:
        raise _untangle(plan.folder, what, error, plan.trust_remote_code) from error


def _untangle(folder: Path, what: str, error: Exception, trusted: bool) -> ModelError:
    if "trust_remote_code" in str(error) and not trusted:
        return ModelError(
            f"the model in {folder} runs code of its own: read that code, then pass --trust-remote-code if you trust it"
        )
    return ModelError(f"{folder} does not give {what} ({one_line(error)})")
