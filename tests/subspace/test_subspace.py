"""What a subspace is laid over, what it costs, and how it is taken off again."""

from __future__ import annotations

import copy
import fnmatch
import gc
import itertools
import pickle
import weakref
from typing import Any

import pytest
import torch
from models_tiny import TINY, batch_of, logits, loss_of, tiny
from torch import Tensor, nn

from intrinsic.errors import SpecError
from intrinsic.subspace import Subspace

LAYERS = {
    "bert": ["bert", "bert.encoder.layer.0", "bert.encoder.layer.1", "classifier", "embeddings"],
    "roberta": ["classifier", "embeddings", "roberta.encoder.layer.0", "roberta.encoder.layer.1"],
    "gpt2": ["embeddings", "transformer", "transformer.h.0", "transformer.h.1"],
    "llama": ["embeddings", "lm_head", "model", "model.layers.0", "model.layers.1"],
    "t5": ["decoder", "decoder.block.0", "decoder.block.1", "embeddings", "encoder", "encoder.block.0",
           "encoder.block.1"],
    "deberta": ["classifier", "deberta", "deberta.encoder.layer.0", "deberta.encoder.layer.1", "embeddings", "pooler"],
    "convnet": ["classifier", "first.0", "first.1", "named", "recurrent", "root", "scales", "second.0", "second.1"],
}  # fmt: skip


def small(*widths: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A tanh network, its weights a function of the seed."""
    widths = widths or (6, 5, 3)
    torch.manual_seed(seed)
    pairs = list(itertools.pairwise(widths))
    return nn.Sequential(*(m for a, b in pairs for m in (nn.Linear(a, b), nn.Tanh()))).to(dtype)


def nudge(subspace: Subspace, by: float = 0.1) -> None:
    with torch.no_grad():
        for i, parameter in enumerate(subspace.parameters()):
            parameter.add_(by * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(i)))


def still(model: nn.Module, name: str) -> Tensor:
    with torch.no_grad():
        return logits(model.eval(), batch_of(name)).clone()


# ---------------------------------------------------------------------- budget and layout


@pytest.mark.parametrize("name", TINY)
def test_the_start_is_theta_0_and_the_budget_is_exact(name: str) -> None:
    model = tiny(name)
    before, full_dim = still(model, name), sum(p.numel() for p in model.parameters())
    subspace = Subspace(model, 40)
    assert torch.equal(still(model, name), before)
    assert subspace.full_dim == full_dim
    assert sum(p.numel() for p in subspace.parameters()) == subspace.subspace_dim == 40
    assert sum(p.numel() for p in model.parameters()) == 40
    assert torch.equal(subspace.theta, torch.zeros(40 - len(subspace.lambda_names)))
    assert torch.equal(subspace.lambdas, torch.ones(len(subspace.lambda_names)))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_read_off_the_names(name: str) -> None:
    assert list(Subspace(tiny(name), 40).lambda_names) == LAYERS[name]


def test_one_lambda_a_tensor_or_none() -> None:
    per_tensor = Subspace(small(), 20, lambdas="tensor")
    assert per_tensor.lambda_names == ("0.bias", "0.weight", "2.bias", "2.weight") == per_tensor.tensor_names
    assert per_tensor.theta.numel() == 16
    did = Subspace(small(), 20, structure_aware=False)
    assert (did.lambdas, did.lambda_names, did.theta.numel()) == (None, (), 20)


def test_the_order_of_modules_does_not_matter() -> None:
    class Net(nn.Module):
        def __init__(self, names: str) -> None:
            super().__init__()
            for name in names:
                self.add_module(name, nn.Linear(4, 4))

        def forward(self, x: Tensor) -> Tensor:
            return self.c(self.b(self.a(x)))

    one, other = Net("abc"), Net("cab")
    other.load_state_dict(one.state_dict())
    outs = []
    for net in (one, other):
        subspace = Subspace(net, 17)
        nudge(subspace)
        outs.append(net(torch.ones(1, 4)))
        assert subspace.lambda_names == ("a", "b", "c")
    assert torch.equal(*outs)


def test_seed_and_projection_choose_the_subspace() -> None:
    outs = []
    for seed, projection in ((0, "fastfood"), (1, "fastfood"), (0, "hashed"), (0, "fastfood")):
        model = small()
        nudge(Subspace(model, 12, projection, seed=seed))
        outs.append(model(torch.ones(1, 6)))
    assert torch.equal(outs[0], outs[3])
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(outs[:3], 2))


WRONG = {
    "too small": (lambda m: Subspace(m, 2), r"more than the 2 lambdas \(one a layer\).*got 2.*structure_aware=False"),
    "too small, tensors": (lambda m: Subspace(m, 4, lambdas="tensor"), r"the 4 lambdas \(one a tensor\)"),
    "too large": (lambda m: Subspace(m, 54), "at most D = 53.*got 54"),
    "zero": (lambda m: Subspace(m, 0, structure_aware=False), "subspace_dim.*greater than or equal to 1"),
    "no integer": (lambda m: Subspace(m, 7.5), "subspace_dim.*integer"),
    "projection": (lambda m: Subspace(m, 9, "fastfud"), "unknown projection 'fastfud'.*fastfood"),
    "lambdas": (lambda m: Subspace(m, 9, lambdas="row"), "lambdas.*'layer' or 'tensor'"),
    "head": (
        lambda m: Subspace(m, 9, head="gone", head_names=["2"]),
        "head: .*'in-subspace', 'free' or 'frozen', got 'gone'",
    ),
    "head unnamed": (lambda m: Subspace(m, 9, head="free"), "head='free' needs head_names"),
    "head absent": (lambda m: Subspace(m, 9, head="free", head_names=["cls"]), "'cls' is the prefix of no parameter"),
    "head string": (lambda m: Subspace(m, 9, head_names="2"), r"head_names must be a list.*write \['2'\]"),
    "pattern": (lambda m: Subspace(m, 9, parameters=["x*"]), r"pattern 'x\*' in parameters= matches no parameter"),
    "pattern string": (lambda m: Subspace(m, 9, parameters="0.*"), "parameters must be a list"),
    "nothing": (lambda m: Subspace(m, 9, parameters=lambda name: False), "no parameter is left for the subspace"),
    "twice": (lambda m: (Subspace(m, 9), Subspace(m, 9)), "carries a subspace already"),
    "data parallel": (lambda m: Subspace(nn.DataParallel(m), 9), "before wrapping: got DataParallel"),
    "meta": (lambda m: Subspace(m.to("meta"), 9), "has no values yet"),
    "option": (lambda m: Subspace(m, 9, "sparse", projection_options={"density": 7.0}), "density"),
}


@pytest.mark.parametrize(("attach", "message"), WRONG.values(), ids=list(WRONG))
def test_a_wrong_setting_is_one_clear_sentence(attach: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        attach(small())


def test_parametrized_modules_are_refused_by_name() -> None:
    model = small()
    nn.utils.parametrizations.weight_norm(model[0])
    with pytest.raises(SpecError, match=r"0\.parametrizations.*remove_parametrizations first"):
        Subspace(model, 9)
    Subspace(model, 9, parameters=["2.*"])


def test_a_failed_attachment_leaves_the_model_alone() -> None:
    model = small()
    before = dict(model.named_parameters())
    for attach, _ in WRONG.values():
        if attach not in (WRONG["twice"][0], WRONG["meta"][0]):
            with pytest.raises(SpecError):
                attach(model)
    assert [(n, id(p)) for n, p in model.named_parameters()] == [(n, id(p)) for n, p in before.items()]
    assert all(p.requires_grad for p in before.values())


# ---------------------------------------------------------------------- ties, buffers, selections, heads


def test_tied_weights_are_one_tensor_everywhere() -> None:
    model = tiny("gpt2")
    subspace = Subspace(model, 40)
    assert "lm_head.weight" in subspace.tensor_names
    assert "transformer.wte.weight" not in subspace.tensor_names
    nudge(subspace)
    still(model, "gpt2")
    assert model.lm_head.weight is model.transformer.wte.weight
    assert model.lm_head.weight.grad_fn is not None
    subspace.merge()
    assert model.lm_head.weight is model.transformer.wte.weight
    assert isinstance(model.lm_head.weight, nn.Parameter)


def test_a_head_that_is_tied_cannot_be_free() -> None:
    with pytest.raises(SpecError, match="leaves no head: all below 'lm_head' is tied"):
        Subspace(tiny("gpt2"), 40, head="free", head_names=["lm_head"])


def test_leaving_the_embeddings_out_leaves_out_what_is_tied_to_them() -> None:
    model = tiny("t5")
    subspace = Subspace(model, 40, parameters=lambda name: "embed_tokens" not in name)
    assert not {"shared.weight", "lm_head.weight", "decoder.embed_tokens.weight"} & set(subspace.tensor_names)
    assert model.lm_head.weight is model.shared.weight
    assert not model.shared.weight.requires_grad


def test_a_selection_is_a_function_or_patterns() -> None:
    for selection in (
        ["*.query.*", "*.key.*"],
        lambda n: any(fnmatch.fnmatch(n, f"*.{w}.*") for w in ("query", "key")),
    ):
        model = tiny("bert")
        subspace = Subspace(model, 20, parameters=selection)
        assert len(subspace.tensor_names) == 8
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        assert trained == ["intrinsic_subspace.theta", "intrinsic_subspace.lambdas"]


def test_integers_frozen_parameters_and_buffers_are_left_alone() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.arange(4), requires_grad=False)
            self.fixed = nn.Parameter(torch.ones(4), requires_grad=False)
            self.empty = nn.Parameter(torch.ones(0))
            self.fc = nn.Linear(4, 4)
            self.register_buffer("count", torch.tensor(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x * self.fixed) + self.table + self.count

    model = Odd()
    subspace = Subspace(model, 8)
    assert subspace.tensor_names == ("fc.bias", "fc.weight")
    assert subspace.full_dim == 20
    nudge(subspace)
    model(torch.ones(1, 4)).sum().backward()
    assert torch.equal(model.table, torch.arange(4))
    assert torch.equal(model.fixed, torch.ones(4))
    assert int(model.count) == 3
    subspace.detach()
    assert [p.requires_grad for p in (model.table, model.fixed, model.empty, model.fc.weight)] == [0, 0, 1, 1]


@pytest.mark.parametrize("head", ["in-subspace", "free", "frozen"])
def test_the_head_is_where_it_was_put(head: str) -> None:
    model = tiny("bert")
    full_dim, size = sum(p.numel() for p in model.parameters()), 8 * 3 + 3
    before = model.classifier.weight.detach().clone()
    subspace = Subspace(model, 20, head=head, head_names=["classifier"])
    assert subspace.full_dim == (full_dim if head == "in-subspace" else full_dim - size)
    assert subspace.free_parameters == (size if head == "free" else 0)
    assert subspace.subspace_dim == 20
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 20 + subspace.free_parameters
    optimizer = torch.optim.SGD(subspace.parameters(), 0.1)
    loss_of(logits(model, batch_of("bert"))).backward()
    optimizer.step()
    still(model, "bert")
    assert torch.equal(model.classifier.weight, before) == (head == "frozen")
    subspace.detach()
    assert torch.equal(model.classifier.weight, before)
    assert all(p.requires_grad for p in model.parameters())


# ---------------------------------------------------------------------- when the weights are made


def test_weights_are_made_once_an_optimiser_step() -> None:
    model = tiny("bert")
    subspace = Subspace(model, 30)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for step in range(4):
        for _ in range(3):  # micro-batches
            loss_of(logits(model, batch_of("bert"))).backward()
        optimizer.step()
        optimizer.zero_grad()
        for _ in range(3):  # evaluation
            still(model, "bert")
        model.train()
        assert subspace.materialisations == step + 2
    assert subspace.theta.abs().min() > 0


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_weights_made_in_one_mode_serve_the_others(context: Any) -> None:
    model = tiny("bert")
    subspace = Subspace(model, 30)
    nudge(subspace)
    with context():
        out = logits(model, batch_of("bert")).clone()
    made = subspace.materialisations
    again = logits(model, batch_of("bert"))
    loss_of(again).backward()
    assert subspace.materialisations == made
    assert torch.equal(again, out)
    assert subspace.theta.grad.abs().sum() > 0


def test_a_write_past_autograd_is_noticed() -> None:
    """Third-party optimisers and restored checkpoints write to p.data, which no version counter shows."""
    model, x = small(), torch.ones(1, 6)
    subspace = Subspace(model, 10)
    before = model(x)
    version = subspace.theta._version
    subspace.theta.data.add_(0.1)
    assert subspace.theta._version == version
    assert not torch.equal(model(x), before)
    after = model(x)
    after.sum().backward()
    subspace.lambdas.data.mul_(2)
    assert not torch.equal(model[:1](x), small()[:1](x))  # a part, called by itself
    assert not torch.equal(model(x), after)


def test_a_part_called_by_itself_is_up_to_date() -> None:
    model = tiny("t5").eval()
    subspace = Subspace(model, 40)
    ids = batch_of("t5")["input_ids"]
    before = model.get_encoder()(ids).last_hidden_state
    nudge(subspace)
    after = model.get_encoder()(ids).last_hidden_state
    assert not torch.equal(before, after)
    still(model, "t5")
    assert torch.equal(model.get_encoder()(ids).last_hidden_state, after)


@pytest.mark.parametrize("name", TINY)
def test_eval_is_deterministic(name: str) -> None:
    model = tiny(name)
    nudge(Subspace(model, 40))
    assert torch.equal(still(model, name), still(model, name))


@pytest.mark.parametrize("name", ["gpt2", "llama", "t5"])
def test_generate_gives_what_the_merged_model_gives(name: str) -> None:
    model = tiny(name).eval()
    subspace = Subspace(model, 40)
    nudge(subspace, 0.5)
    ids = batch_of(name)["input_ids"]
    settings = {"max_new_tokens": 6, "do_sample": False, "attention_mask": torch.ones_like(ids)}
    made = subspace.materialisations
    out = model.generate(ids, **settings)
    assert subspace.materialisations == made + 1
    assert torch.equal(subspace.merge().generate(ids, **settings), out)


# ---------------------------------------------------------------------- taking it off


@pytest.mark.parametrize("name", TINY)
def test_merge_leaves_a_plain_model_with_the_same_logits(name: str) -> None:
    model, plain = tiny(name), tiny(name)
    subspace = Subspace(model, 40)
    nudge(subspace)
    before = still(model, name)
    assert subspace.merge() is model
    assert torch.equal(still(model, name), before)
    assert not torch.equal(still(plain, name), before)
    assert list(model.state_dict()) == list(plain.state_dict())
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [n for n, _ in plain.named_parameters()]
    assert [str(m) for m in model.modules()] == [str(m) for m in plain.modules()]
    for made, fresh in zip(model.modules(), plain.modules(), strict=True):
        assert len(made._forward_pre_hooks) == len(fresh._forward_pre_hooks)
        assert len(made._state_dict_hooks) == len(fresh._state_dict_hooks)
        assert made.__dict__.keys() == fresh.__dict__.keys()
    plain.load_state_dict(model.state_dict())
    assert torch.equal(still(plain, name), before)
    loss_of(logits(model.train(), batch_of(name))).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("name", TINY)
def test_detach_restores_theta_0(name: str) -> None:
    model, plain = tiny(name), tiny(name)
    own = {n: id(p) for n, p in model.named_parameters(remove_duplicate=False)}
    tied = name in ("gpt2", "t5")
    subspace = Subspace(model, 40, head="in-subspace" if tied else "free", head_names=TINY[name].head)
    for _ in range(2):
        loss_of(logits(model, batch_of(name))).backward()
        nudge(subspace)
    subspace.detach()
    assert {n: id(p) for n, p in model.named_parameters(remove_duplicate=False)} == own
    for n, tensor in plain.state_dict().items():
        assert torch.equal(model.state_dict()[n], tensor), n
    Subspace(model, 40)  # and it can be used again


def test_a_subspace_taken_off_says_so() -> None:
    subspace = Subspace(small(), 10)
    subspace.merge()
    with pytest.raises(SpecError, match="taken off its model"):
        subspace.detach()


def test_a_module_replaced_behind_its_back_is_noticed() -> None:
    model = small()
    Subspace(model, 10)
    model[2] = nn.Linear(5, 3)
    model[0].to(torch.float32)
    with pytest.raises(SpecError, match=r"was replaced.*detach\(\) before changing the model"):
        model.double()


def test_state_goes_out_and_in() -> None:
    model = tiny("convnet")
    subspace = Subspace(model, 40, head="free", head_names=["classifier"])
    logits(model, batch_of("convnet"))  # moves the running statistics
    nudge(subspace)
    state, before = subspace.state_dict(), still(model, "convnet")
    assert {"theta", "lambdas", "free.classifier.weight", "buffer.first.1.running_mean"} < state.keys()
    nudge(subspace)
    logits(model.train(), batch_of("convnet"))
    assert not torch.equal(still(model, "convnet"), before)
    subspace.load_state_dict(state)
    assert torch.equal(still(model, "convnet"), before)


def test_a_state_of_another_subspace_is_refused() -> None:
    subspace = Subspace(small(), 10)
    with pytest.raises(SpecError, match="'lambdas' is only in one of the two"):
        subspace.load_state_dict({"theta": torch.zeros(8)})
    with pytest.raises(SpecError, match=r"'theta' has shape \(9,\) in the state, expected \(8,\)"):
        subspace.load_state_dict({"theta": torch.zeros(9), "lambdas": torch.zeros(2)})


# ---------------------------------------------------------------------- moving, copying, precision, memory


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["copy", "pickle"])
@pytest.mark.parametrize("name", ["gpt2", "convnet"])
def test_a_copy_lives_its_own_life(name: str, copier: Any) -> None:
    model = tiny(name)
    subspace = Subspace(model, 40)
    nudge(subspace)
    before = still(model, name)
    twin = copier(model)
    assert torch.equal(still(twin, name), before)
    optimizer = torch.optim.SGD(twin.parameters(), 0.1)
    loss_of(logits(twin, batch_of(name))).backward()
    assert subspace.theta.grad is None
    optimizer.step()
    assert torch.equal(still(model, name), before)
    assert not torch.equal(still(twin, name), before)
    again = copier(twin)
    assert torch.equal(still(again, name), still(twin, name))


def test_the_handle_is_copied_with_its_model() -> None:
    subspace = Subspace(small(), 10)
    nudge(subspace)
    twin = copy.deepcopy(subspace)
    x = torch.ones(1, 6)
    before = subspace.model(x)
    nudge(twin)
    assert torch.equal(subspace.model(x), before)
    assert not torch.equal(twin.model(x), before)
    after = twin.model(x)
    assert torch.equal(twin.merge()(x), after)


def test_low_precision_models_keep_theta_in_float32() -> None:
    model = tiny("llama", torch.bfloat16)
    subspace = Subspace(model, 40)
    assert model.dtype == torch.bfloat16
    assert subspace.theta.dtype == subspace.lambdas.dtype == torch.float32
    nudge(subspace, 0.01)
    out = logits(model, batch_of("llama"))
    assert (out.dtype, model.lm_head.weight.dtype) == (torch.bfloat16, torch.bfloat16)
    loss_of(out).backward()
    assert subspace.theta.grad.dtype == torch.float32
    assert torch.equal(still(subspace.merge(), "llama"), still(model, "llama"))
    assert model.lm_head.weight.dtype == torch.bfloat16


def test_a_weight_is_rounded_once() -> None:
    """W = bf16(W_0 + lambda P theta), not W_0 + bf16(...)."""
    model, wide = small(dtype=torch.bfloat16), small(dtype=torch.bfloat16).float()
    for net in (model, wide):
        nudge(Subspace(net, 10), 0.01)
        net(torch.ones(1, 6, dtype=next(iter(net[0].__dict__["weight"].view(-1))).dtype))
    assert torch.equal(model[0].weight, wide[0].weight.to(torch.bfloat16))
    assert not torch.equal(wide[0].weight, wide[0].weight.to(torch.bfloat16).float())


def test_moving_the_model_moves_theta_0_and_keeps_theta() -> None:
    model = tiny("bert")
    subspace = Subspace(model, 40)
    nudge(subspace)
    theta, optimizer = subspace.theta, torch.optim.Adam(model.parameters())
    before, values = still(model, "bert"), subspace.theta.detach().clone()
    model.to(torch.bfloat16)
    assert subspace.theta is theta
    assert torch.equal(theta, values)
    assert (model.dtype, still(model, "bert").dtype) == (torch.bfloat16, torch.bfloat16)
    model.double()
    assert subspace.theta.dtype == torch.float64
    assert still(model, "bert").dtype == torch.float64
    assert (still(model.float(), "bert") - before).abs().max() < 0.05  # theta_0 went through bfloat16
    loss_of(logits(model, batch_of("bert"))).backward()
    optimizer.step()
    assert not torch.equal(subspace.theta, values)


def test_the_parts_of_a_model_still_know_their_dtype_and_device() -> None:
    model = tiny("bert", torch.bfloat16)
    Subspace(model, 40)
    assert (model.bert.dtype, model.dtype, model.bert.device.type) == (torch.bfloat16, torch.bfloat16, "cpu")


def test_the_state_dict_is_theta_alone_and_goes_back_in() -> None:
    model = tiny("gpt2")
    nudge(Subspace(model, 40))
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert sorted(state) == ["intrinsic_subspace.lambdas", "intrinsic_subspace.theta"]
    before = still(model, "gpt2")
    other = tiny("gpt2")
    Subspace(other, 40)
    other.load_state_dict(state)
    assert torch.equal(still(other, "gpt2"), before)


def test_a_model_is_freed_with_its_last_reference() -> None:
    """No cycle holds the weights: a loop of trials must not pile up models until the collector runs."""
    gc.collect()
    gc.disable()
    try:
        model = small()
        subspace = Subspace(model, 10)
        model(torch.ones(1, 6)).sum().backward()
        watched = weakref.ref(model[0].weight)
        del model, subspace
        assert watched() is None
    finally:
        gc.enable()


def test_adam_lowers_the_loss_and_only_theta_moves() -> None:
    torch.manual_seed(0)
    x = torch.randn(64, 6)
    y = torch.tanh(x @ torch.randn(6, 3))
    model, base = small(6, 32, 3), small(6, 32, 3)
    subspace = Subspace(model, 60)
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)
    losses = []
    for _ in range(150):
        loss = (model(x) - y).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    subspace.detach()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), base.parameters(), strict=True))


def test_frozen_theta_trains_nothing() -> None:
    model = small()
    subspace = Subspace(model, 10, head="free", head_names=["2"])
    subspace.theta.requires_grad_(False)
    model(torch.ones(1, 6)).sum().backward()
    assert subspace.theta.grad is None
    assert subspace.lambdas.grad is not None
    assert model[2].weight.grad is not None


def test_multi_head_attention_reads_its_weights_by_attribute() -> None:
    torch.manual_seed(0)
    model = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 12, 0.0, batch_first=True), 2)
    subspace = Subspace(model, 20)
    nudge(subspace)
    x = torch.randn(2, 3, 8)
    out = model(x)
    out.pow(2).sum().backward()
    assert subspace.theta.grad.abs().sum() > 0
    assert torch.allclose(subspace.merge()(x), out, atol=1e-6)


def test_its_repr_says_what_it_is() -> None:
    assert repr(Subspace(small(), 10)) == "Subspace(SAID, 2 lambdas, fastfood, d=10 of D=53, head in-subspace, seed 0)"
