"""Our modules against the `adapters` library, for the same weights: see experiments/adapters_oracle.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from paths import experiment
from torch import nn
from toy import Loaded

from intrinsic.methods import attach
from intrinsic.models.quiet import quiet
from intrinsic.spec import MethodSpec, SeedSpec

HERE = Path(__file__).parents[1]
EXPECTED: dict[str, list[list[float]]] = json.loads((HERE / "adapters_oracle.json").read_text())["logits"]


o = experiment("adapters_oracle")
OURS: dict[str, tuple[str, dict[str, object]]] = {
    "houlsby": ("houlsby", {"bottleneck": o.R}),
    "pfeiffer": ("pfeiffer", {"bottleneck": o.R}),
    "parallel": ("parallel", {"bottleneck": o.R}),
    "scaled-parallel": ("scaled-parallel", {"bottleneck": o.R}),
    "parallel-attention-learned": (
        "adapter", {"bottleneck": o.R, "insertion": "parallel", "place": "attention", "composition": "learned"}
    ),
    "prefix": ("prefix", {"length": o.LENGTH, "mlp_width": None}),
    "prefix-mlp": ("prefix", {"length": o.LENGTH, "mlp_width": o.MLP}),
    "mam": ("mam", {"length": o.LENGTH, "mlp_width": None, "bottleneck": o.R, "scale": 2.0}),
}  # fmt: skip


def added(name: str, parameter: nn.Parameter) -> torch.Tensor:
    """Our added parameter by the name that the script knows it by."""
    if "intrinsic_prefix" in name:
        return prefix(name, parameter)
    layer, place, part = re.findall(r"\.(\d+)\.intrinsic_(\w+)\.([\w.]+)$", name)[0]
    where = "decoder" if ".decoder." in name else "encoder"
    values = o.pattern(f"{where}.{layer}.{place}.{part}", parameter.shape)
    return 1 + values if part == "scale" else values


def prefix(name: str, parameter: nn.Parameter) -> torch.Tensor:
    """A prefix, or a part of the MLP that makes it. None of the models here has more than one group of them."""
    if ".trunk." in name:
        part = "embedding" if name.endswith("embedding") else name.rpartition(".")[2]
        return o.pattern(f"prefix.self.{part}", parameter.shape)
    layer = re.findall(r"\.(\d+)\.", name)[0]
    kind = name.rpartition(".")[2]
    if kind in ("key", "value"):
        return o.pattern(f"prefix.self.{layer}.{kind}", parameter.shape)
    half = (parameter.shape[0] // 2, *parameter.shape[1:])
    return torch.cat([o.pattern(f"prefix.self.{layer}.{which}.{kind}", half) for which in ("key", "value")])


def test_every_run_of_the_script_is_recorded() -> None:
    assert list(EXPECTED) == [f"{model} {case}" for model, case in o.RUNS]


@pytest.mark.parametrize(("name", "case"), o.RUNS)
def test_the_logits_are_those_of_the_adapters_library(name: str, case: str) -> None:
    import transformers

    kind, settings = o.CONFIGS[name]
    with quiet():
        model = transformers.AutoModelForSequenceClassification.from_config(getattr(transformers, kind)(**settings))
    o.fill(model)
    original = {id(p) for p in model.parameters()}
    method, options = OURS[case]
    attach(Loaded(model, head_names=()), MethodSpec(name=method, options=options), SeedSpec())
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if id(parameter) not in original:
                parameter.copy_(added(parameter_name, parameter))
        answer = model.eval()(**o.batch(name)).logits
    torch.testing.assert_close(answer, torch.tensor(EXPECTED[f"{name} {case}"]), rtol=0, atol=2e-5)
