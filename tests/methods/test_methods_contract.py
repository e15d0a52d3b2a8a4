"""One contract for every method on every architecture it applies to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import safetensors.torch
import torch
from method_models import COMMON, LAYERS, SHAPES, D, F, Shape, batch_of, fresh, logits, train
from toy import Loaded

from intrinsic.errors import ArtefactError
from intrinsic.methods import METHODS, attach, reload
from intrinsic.methods.base import Trainable
from intrinsic.models.quiet import quiet
from intrinsic.plugins import entries_of, package_of
from intrinsic.spec import MethodSpec, SeedSpec
from intrinsic.subspace.layout import is_under

SEEDS = SeedSpec(projection=4, initialisation=5)


@dataclass(frozen=True)
class Case:
    method: str
    options: tuple[tuple[str, object], ...] = ()
    formula: Callable[[Shape], int] | None = None
    """Parameters trained besides the head's; None: checked elsewhere."""
    stored: Callable[[Shape], int] | None = None
    """Likewise stored, where that is another number."""
    identity: bool = True
    """Attaching changes no logit, bit for bit."""
    mergeable: bool = True
    on: tuple[str, ...] = tuple(SHAPES)

    @property
    def spec(self) -> MethodSpec:
        return MethodSpec.model_validate({"name": self.method, "options": dict(self.options)})


def case(method: str, formula: Callable[[Shape], int] | None = None, **more: object) -> Case:
    settings = {name: more.pop(name) for name in ("stored", "identity", "mergeable", "on") if name in more}
    return Case(method, tuple(more.items()), formula, **settings)  # type: ignore[arg-type]


R = 3
ADAPTER = 2 * R * D + R + D
"""2rd, and biases."""


def adapter(method: str, formula: Callable[[Shape], int], **more: object) -> Case:
    return case(method, formula, mergeable=False, bottleneck=R, **more)


WITH_BIASES = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "gpt2", "vit")
TEXT = tuple(name for name in SHAPES if name != "vit")
SPLIT = ("bert", "roberta", "distilbert", "electra", "deberta-v2", "vit")

CASES = {
    "probe": case("probe", lambda s: 0),
    "bitfit": case("bitfit", None, on=WITH_BIASES),
    "bitfit query-ffn": case("bitfit", lambda s: s.blocks * (D + F), on=SPLIT, biases="query-ffn"),
}
CASES |= {
    "houlsby": adapter("houlsby", lambda s: (s.attentions + s.blocks) * (ADAPTER + s.norm)),
    "pfeiffer": adapter("pfeiffer", lambda s: s.blocks * ADAPTER),
    "parallel": adapter("parallel", lambda s: s.blocks * ADAPTER),
    "scaled-parallel": adapter("scaled-parallel", lambda s: s.blocks * ADAPTER),
    "multi-head-parallel": adapter("multi-head-parallel", lambda s: s.attentions * ADAPTER),
    "adapter learned": adapter(
        "adapter", lambda s: s.blocks * (ADAPTER + 1), composition="learned", insertion="parallel", on=("bert", "gpt2")
    ),
    "adapter gated": adapter(
        "adapter", lambda s: s.attentions * (ADAPTER + D + 1), composition="gated", place="attention", form="linear",
        identity=False, on=("distilbert", "llama"),
    ),
}  # fmt: skip


def linear(s: Shape, *matrices: str) -> list[tuple[int, int]]:
    """(inputs, outputs) of the matrices; fused ones are changed together."""
    fused = [(D, 3 * D)] if s.fused and {"q", "k", "v"} & set(matrices) else []
    single = {"q": (D, D), "k": (D, s.kv), "v": (D, s.kv)}
    own = [] if s.fused else [single[m] for m in matrices if m in single]
    heads = [(D, D)] if "o" in matrices else []
    ffn = [(D, F)] * s.inputs + [(F, D)] if "ffn" in matrices else []
    return (fused + own + heads) * s.attentions + ffn * s.blocks


def low_rank(s: Shape, *matrices: str) -> int:
    return sum(R * (i + o) for i, o in linear(s, *matrices))


CASES |= {
    "lora": case("lora", lambda s: low_rank(s, "q", "v"), rank=R),
    "lora everywhere": case(
        "lora", lambda s: low_rank(s, *"qkvo", "ffn"), rank=R, alpha=5.0, dropout=0.1, matrices=(*"qkvo", "ffn")
    ),
    "adalora": case("adalora", lambda s: sum(3 * (i + o + 1) for i, o in linear(s, "q", "v")), rank=2),
    "ia3": case("ia3", lambda s: s.attentions * (3 * D if s.fused else 2 * s.kv) + s.blocks * F),
    "vera": case("vera", lambda s: sum(R + o for _, o in linear(s, "q", "v")), rank=R),
    "unilora": case("unilora", lambda s: 50, rank=R, size=50, identity=False),
    "fourierft": case("fourierft", lambda s: 20 * len(linear(s, "q", "v")), frequencies=20, identity=False),
    "randlora": case(
        "randlora", lambda s: sum(-(-min(i, o) // R) * (R + min(i, o)) for i, o in linear(s, "q", "v")), rank=R
    ),
}
LENGTH, MLP = 4, 5


def prefix(method: str, formula: Callable[[Shape], int], **more: object) -> Case:
    return case(method, formula, length=LENGTH, identity=False, mergeable=False, **more)


def flat(s: Shape) -> int:
    """2 l kv an attention: 2ld where keys are as wide as the model."""
    return s.attentions * 2 * LENGTH * s.kv


def by_mlp(s: Shape) -> int:
    groups = 3 if s.attentions > s.blocks else 1
    return groups * (LENGTH * D + D * MLP + MLP) + s.attentions * 2 * s.kv * (MLP + 1)


CASES |= {
    "prefix": prefix("prefix", by_mlp, stored=flat, mlp_width=MLP),
    "prefix without mlp": prefix("prefix", flat, mlp_width=None),
    "mam": prefix(
        "mam", lambda s: by_mlp(s) + s.blocks * ADAPTER, stored=lambda s: flat(s) + s.blocks * ADAPTER, bottleneck=R,
        mlp_width=MLP,
    ),
}  # fmt: skip
CASES |= {
    "prompt": prefix("prompt", lambda s: LENGTH * (s.embedding or D), on=TEXT),
    "prompt for images": prefix("prompt", lambda s: LENGTH * D, on=("vit",), start="random"),
}
if "intrinsic-outsider" in {package_of(entry) for entry in entries_of("method").values()}:  # tests/plugin
    CASES |= {
        "shift": case("shift", lambda s: 6 * R * s.blocks, groups=R, on=("roberta", "distilbert", "vit")),
        "shift of norms": case("shift", kinds=("linear", "norm"), scale=0.5, on=("bert",)),
        "centred": case("centred", lambda s: 0, on=("bert", "gpt2", "vit")),
    }
RUNS = [(case, name) for case, c in CASES.items() for name in c.on]
every_run = pytest.mark.parametrize(("case", "name"), RUNS, ids=[f"{c}-{n}" for c, n in RUNS])


def make(case: str, name: str) -> Trainable:
    return attach(fresh(name), CASES[case].spec, SEEDS)


def head_of(name: str) -> int:
    loaded = fresh(name)
    return sum(p.numel() for n, p in loaded.model.named_parameters() if is_under(n, loaded.head_names))


def test_every_method_is_here_or_has_tests_of_its_own() -> None:
    assert {c.method for c in CASES.values()} | {"full", "subspace"} == set(METHODS)


@every_run
def test_counts(case: str, name: str) -> None:
    made, told = make(case, name), CASES[case]
    assert made.head_parameters == head_of(name)
    assert made.full_dim == sum(p.numel() for p in fresh(name).model.parameters())
    assert made.mergeable == told.mergeable
    if told.formula is not None:
        assert made.parameters_trained - head_of(name) == told.formula(SHAPES[name])
    stored = told.stored(SHAPES[name]) if told.stored else made.parameters_trained - head_of(name)
    assert made.parameters_stored - head_of(name) == stored


FOUR = 4 * D


@pytest.mark.parametrize(
    ("method", "options", "a_layer"),
    [
        ("prefix", {"length": LENGTH, "mlp_width": None}, 2 * LENGTH * D),  # 2ld
        ("parallel", {"bottleneck": R}, 2 * R * D + R + D),  # 2rd, and biases
        ("houlsby", {"bottleneck": R}, 2 * (2 * R * D + R + D + 2 * D)),  # two of them, and two layer norms
        ("lora", {"rank": R, "matrices": ("q", "v")}, 4 * R * D),
        ("lora", {"rank": R, "matrices": ("ffn",)}, 10 * R * D),
        ("ia3", {}, 2 * D + FOUR),
        ("vera", {"rank": R, "matrices": ("q", "v")}, 2 * (R + D)),
        ("bitfit", {"biases": "query-ffn"}, D + FOUR),
    ],
)
def test_the_papers_formulas_hold_where_feed_forward_is_four_times_as_wide(
    method: str, options: dict[str, object], a_layer: int
) -> None:
    """The counts as He et al. and Hu et al. write them, a layer of width d."""
    import transformers

    config = transformers.BertConfig(**COMMON | {"intermediate_size": FOUR})
    with quiet():
        model = transformers.BertForSequenceClassification(config)
    made = attach(Loaded(model), MethodSpec(name=method, options=options), SEEDS)
    assert made.parameters_trained - made.head_parameters == LAYERS * a_layer


@every_run
def test_attaching_is_repeatable_and_changes_no_logit_where_it_must_not(case: str, name: str) -> None:
    batch = batch_of(name)
    made = logits(make(case, name).model, batch)
    assert torch.equal(made, logits(make(case, name).model, batch))
    assert torch.equal(made, logits(fresh(name).model, batch)) == CASES[case].identity


@every_run
def test_only_what_is_announced_is_trained(case: str, name: str) -> None:
    made = make(case, name)
    announced = {id(p) for p in made.parameters()}
    before = {n: p.detach().clone() for n, p in made.model.named_parameters()}
    made.model.train()
    made.model(**batch_of(name)).logits.square().sum().backward()
    for parameter in made.model.parameters():
        assert parameter.grad is None or id(parameter) in announced
    made.model.zero_grad()
    train(made, batch_of(name))
    for parameter_name, parameter in made.model.named_parameters():
        assert torch.equal(parameter, before[parameter_name]) == (id(parameter) not in announced), parameter_name


@every_run
def test_a_trained_model_is_saved_loaded_and_merged(case: str, name: str, tmp_path: Path) -> None:
    batch = batch_of(name)
    trained = train(make(case, name), batch)
    expected = logits(trained.model, batch)
    trained.save(tmp_path)
    again = make(case, name)
    assert not torch.equal(logits(again.model, batch), expected)
    again.load(tmp_path)
    assert torch.equal(logits(again.model, batch), expected)
    assert again.parameters_stored == trained.parameters_stored
    assert torch.equal(logits(reload(tmp_path, fresh(name)).model, batch), expected)
    merged = trained.merge()
    torch.testing.assert_close(logits(merged, batch), expected, rtol=0, atol=1e-5)
    if CASES[case].mergeable:
        plain = fresh(name).model
        assert list(merged.state_dict()) == list(plain.state_dict())
        plain.load_state_dict(merged.state_dict())
        assert torch.equal(logits(plain, batch), logits(merged, batch))
        assert [p.requires_grad for p in merged.parameters()] == [p.requires_grad for p in plain.parameters()]
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in merged.modules())


@every_run
def test_the_state_of_the_best_step_comes_back(case: str, name: str) -> None:
    batch = batch_of(name)
    made = train(make(case, name), batch, 1)
    kept = {n: t.detach().clone() for n, t in made.state_dict().items()}
    expected = logits(made.model, batch)
    train(made, batch, 1)
    assert not torch.equal(logits(made.model, batch), expected)
    made.load_state_dict(kept)
    assert torch.equal(logits(made.model, batch), expected)


@pytest.mark.parametrize("case", CASES)
def test_an_artefact_of_another_base_or_another_method_is_refused(case: str, tmp_path: Path) -> None:
    name = CASES[case].on[0]
    make(case, name).save(tmp_path)
    other = fresh(name)
    with torch.no_grad():
        next(p for p in other.model.parameters() if p.ndim > 1).add_(1e-3)
    with pytest.raises(ArtefactError, match="was trained from other base weights"):
        attach(other, CASES[case].spec, SEEDS).load(tmp_path)
    with pytest.raises(ArtefactError, match=r"was saved by .* with seeds 4 and 5, expected .* with seeds 4 and 6"):
        attach(fresh(name), CASES[case].spec, SeedSpec(projection=4, initialisation=6)).load(tmp_path)


CHECKPOINTED = [
    (case, name, reentrant)
    for case, name in RUNS
    for reentrant in (False, True)
    if case != "probe" and (name in ("bert", "llama", "t5") or (name, reentrant) == ("vit", False))
]  # no reentrant checkpoint for images, which require no gradient


@pytest.mark.parametrize(("case", "name", "reentrant"), CHECKPOINTED)
def test_gradient_checkpointing_gives_the_same_gradients(case: str, name: str, reentrant: bool) -> None:
    def gradients(checkpointed: bool) -> dict[str, torch.Tensor]:
        made = train(make(case, name), batch_of(name))  # adapters' first gradients are mostly zeros
        if checkpointed:
            with quiet():
                made.model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            if name != "vit":
                made.model.enable_input_require_grads()
        made.model.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            made.model(**batch_of(name)).logits.square().sum().backward()
        return {n: p.grad for n, p in made.named_parameters() if p.grad is not None}

    expected = gradients(False)
    assert any(bool(g.any()) for g in expected.values())
    torch.testing.assert_close(gradients(True), expected)


@pytest.mark.parametrize("case", CASES)
def test_a_copy_is_independent(case: str) -> None:
    name = CASES[case].on[0]
    made, batch = train(make(case, name), batch_of(name)), batch_of(name)
    expected = logits(made.model, batch)
    copied = copy.deepcopy(made.model)
    assert torch.equal(logits(copied, batch), expected)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(0.1)
    assert torch.equal(logits(made.model, batch), expected)
    assert not torch.equal(logits(copied, batch), expected)


def test_what_is_no_artefact_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"cannot read .*method\.safetensors: "):
        reload(tmp_path, fresh("bert"))
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "method.safetensors")
    with pytest.raises(ArtefactError, match="is not a method saved by this version: identity: Field required"):
        reload(tmp_path, fresh("bert"))
    (tmp_path / "method.safetensors").write_bytes(b"not this")
    with pytest.raises(ArtefactError, match="cannot read"):
        reload(tmp_path, fresh("bert"))


def test_changed_numbers_are_noticed(tmp_path: Path) -> None:
    make("bitfit", "bert").save(tmp_path)
    path = tmp_path / "method.safetensors"
    body = bytearray(path.read_bytes())
    body[-3] ^= 1
    path.write_bytes(bytes(body))
    with pytest.raises(ArtefactError, match="is damaged: its tensors are not those that were saved"):
        make("bitfit", "bert").load(tmp_path)
