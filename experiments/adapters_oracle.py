"""Expected logits of the `adapters` library, which tests/methods/test_methods_oracle.py compares ours with.

It needs an environment of its own, for `adapters` forces an older transformers:

    python -m venv other && other/bin/pip install torch==2.13.0 adapters==1.3.0
    other/bin/python experiments/adapters_oracle.py tests/adapters_oracle.json

Both sides fill every weight by :func:`pattern` from a name that both know, so no weights are stored. `adapters` is
imported by main() only: the tests import this file for CASES, CONFIGS and the weights.
"""

from __future__ import annotations

import json
import re
import sys
import zlib
from pathlib import Path
from typing import Any

import torch

WIDTH = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
TEXT = {"vocab_size": 24, "max_position_embeddings": 12, "pad_token_id": 0, "num_labels": 3}
ENDS = {"vocab_size": 24, "bos_token_id": 2, "eos_token_id": 1, "pad_token_id": 0, "num_labels": 3}
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", WIDTH | TEXT),
    "roberta": ("RobertaConfig", WIDTH | TEXT | {"max_position_embeddings": 13}),
    "gpt2": ("GPT2Config", ENDS | {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_inner": 24, "n_positions": 12}),
    "llama": ("LlamaConfig", WIDTH | TEXT | {"num_key_value_heads": 1}),
    "t5": ("T5Config", ENDS | {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2,
                               "decoder_start_token_id": 0}),
}  # fmt: skip
R, LENGTH, MLP = 3, 4, 5
BN: dict[str, Any] = {"reduction_factor": 16 / R, "cross_adapter": False}
SEQ = BN | {"original_ln_before": False, "original_ln_after": True, "residual_before_ln": True,
            "adapter_residual_before_ln": False, "ln_before": False, "ln_after": False}  # fmt: skip
PAR = BN | {"is_parallel": True}
FLAT = {"prefix_length": LENGTH, "flat": True}

CASES: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "houlsby": [("BnConfig", SEQ | {"mh_adapter": True, "output_adapter": True, "non_linearity": "gelu",
                                    "cross_adapter": True})],
    "pfeiffer": [("SeqBnConfig", BN)],
    "parallel": [("ParBnConfig", PAR | {"scaling": 1.0})],
    "scaled-parallel": [("ParBnConfig", PAR | {"scaling": 4.0})],
    "parallel-attention-learned": [("ParBnConfig", PAR | {"scaling": "learned", "mh_adapter": True,
                                                          "output_adapter": False, "cross_adapter": True})],
    "prefix": [("PrefixTuningConfig", FLAT)],
    "prefix-mlp": [("PrefixTuningConfig", {"prefix_length": LENGTH, "bottleneck_size": MLP})],
    "mam": [("PrefixTuningConfig", FLAT), ("ParBnConfig", PAR | {"scaling": 2.0})],
}  # fmt: skip
"""What each case is in the other library."""
RUNS = [(m, c) for m in CONFIGS for c in CASES if m != "t5" or not any("Prefix" in name for name, _ in CASES[c])]
"""All but T5's prefixes: there `adapters` counts relative positions anew over prefix and tokens, which shifts them."""


def pattern(name: str, shape: torch.Size | tuple[int, ...], spread: float = 0.5) -> torch.Tensor:
    """Values between -spread and spread, a function of the name and the place alone."""
    count = int(torch.Size(shape).numel())
    phase = torch.arange(count, dtype=torch.float64) * 2.399963 + zlib.crc32(name.encode()) % 1000
    return (spread * torch.sin(phase)).reshape(shape).float()


def fill(model: torch.nn.Module) -> None:
    """Every weight by its name; layer norms near 1."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = pattern(name, parameter.shape)
            is_norm = parameter.ndim == 1 and name.endswith("weight")
            parameter.copy_(1 + 0.2 * values if is_norm else values)


def batch(model: str) -> dict[str, torch.Tensor]:
    """Three sentences, the second padded on the right; one end-of-sequence each, as T5's classifier wants."""
    ids = torch.tensor([[5, 9, 3, 20, 11, 1], [7, 4, 15, 1, 0, 0], [13, 6, 22, 8, 17, 1]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def main(target: Path) -> None:
    import adapters
    import transformers

    answers: dict[str, list[list[float]]] = {}
    for model, case in RUNS:
        torch.manual_seed(0)
        answers[f"{model} {case}"] = [[round(v, 7) for v in row] for row in _logits(adapters, model, case)]
        print(model, case, answers[f"{model} {case}"][0])
    versions = {"adapters": adapters.__version__, "transformers": transformers.__version__, "torch": torch.__version__}
    target.write_text(json.dumps({"versions": versions, "logits": answers}, indent=1) + "\n")


def _logits(adapters: Any, model: str, case: str) -> list[list[float]]:
    import transformers

    kind, settings = CONFIGS[model]
    config = getattr(transformers, kind)(**settings)
    # Eager: behind a boolean mask (sdpa, decoders) adapters 1.3.0 masks the prefix instead of letting it be seen.
    net = transformers.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager")
    fill(net)
    plain = net.eval()(**batch(model)).logits
    before = {id(p) for p in net.parameters()}
    adapters.init(net)
    for i, (name, options) in enumerate(CASES[case]):
        net.add_adapter(f"a{i}", config=getattr(adapters, name)(**options))
    names = [f"a{i}" for i in range(len(CASES[case]))]
    net.set_active_adapters(adapters.composition.Stack(*names) if len(names) > 1 else names[0])
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if id(parameter) not in before:
                parameter.copy_(_added(name, parameter, config))
        answer: torch.Tensor = net.eval()(**batch(model)).logits
    if torch.allclose(answer, plain, atol=1e-3):
        raise RuntimeError(f"{case} changes nothing on {model}: it is not active")
    return answer.double().tolist()  # type: ignore[no-any-return]


def _added(name: str, parameter: torch.Tensor, config: Any) -> torch.Tensor:
    """The values of an added parameter, under the name that our test uses for it."""
    if "prefix_tunings" in name:
        return _prefix(name, parameter, config)
    stack, layer = re.findall(r"(encoder\.block|decoder\.block|layer|h|layers)\.(\d+)\.", name)[0]
    place = "cross" if "EncDec" in name or re.search(r"decoder\.block\.\d+\.layer\.1", name) else "attention"
    if "output_adapters" in name or re.search(r"layer\.\d+\.output\.adapters", name) or _is_t5_ffn(name):
        place = "ffn"
    role = {"adapter_down.0": "down", "adapter_up": "up", "scaling": "scale"}
    part = next(new for old, new in role.items() if old in name)
    kind = "" if part == "scale" else "." + name.rpartition(".")[2]
    where = "decoder" if stack.startswith("decoder") else "encoder"
    values = pattern(f"{where}.{layer}.{place}.{part}{kind}", parameter.shape)
    return 1 + values if part == "scale" else values


def _is_t5_ffn(name: str) -> bool:
    found = re.search(r"(encoder|decoder)\.block\.\d+\.layer\.(\d)", name)
    return found is not None and int(found[2]) == (2 if found[1] == "decoder" else 1)


def _prefix(name: str, parameter: torch.Tensor, config: Any) -> torch.Tensor:
    """Flat prefixes of all layers lie as [length, 2 * layers, width], keys and values in turn."""
    group = next((g for g in ("encoder", "cross") if f"{g}_prefix" in name), "self")
    if "wte" in name or "control_trans.0" in name:
        return pattern(f"prefix.{group}.{'embedding' if 'wte' in name else name.rpartition('.')[2]}", parameter.shape)
    layers = config.num_hidden_layers
    blocks = [f"prefix.{group}.{layer}.{kind}" for layer in range(layers) for kind in ("key", "value")]
    if name.endswith("control_trans"):
        width = parameter.numel() // (LENGTH * 2 * layers)
        return torch.stack([pattern(block, (LENGTH, width)) for block in blocks], dim=1).reshape(-1)
    rows = parameter.shape[0] // (2 * layers)
    kind = name.rpartition(".")[2]
    return torch.cat([pattern(f"{block}.{kind}", (rows, *parameter.shape[1:])) for block in blocks])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
