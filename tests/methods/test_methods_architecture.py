"""The map of attention and feed-forward, and what rests on it alone."""

from __future__ import annotations

import pytest
import torch
from method_models import LAYERS, SHAPES, D, F, batch_of, fresh
from torch import nn
from toy import loaded

from intrinsic.errors import ModelError, SpecError
from intrinsic.methods import attach
from intrinsic.methods.architecture import FAMILIES, blocks_of, shape_of, width_of
from intrinsic.models.pooling import MeanPooled
from intrinsic.spec import MethodSpec, SeedSpec


def test_every_family_is_tried() -> None:
    assert set(SHAPES) | {"xlm-roberta"} == set(FAMILIES)


@pytest.mark.parametrize("name", SHAPES)
class TestMap:
    def test_the_maps_have_the_sizes_of_the_configuration(self, name: str) -> None:
        model, shape = fresh(name).model, SHAPES[name]
        blocks = blocks_of(model, "any")
        attentions = [attention for block in blocks for attention in block.attentions]
        assert (len(blocks), len(attentions)) == (shape.blocks, shape.attentions)
        for attention in attentions:
            assert shape_of(model.get_submodule(attention.output)) == (D, D)
            assert shape_of(model.get_submodule(attention.key)) == (D, 3 * D if shape.fused else shape.kv)
            assert attention.fused == shape.fused
        for block in blocks:
            assert [shape_of(model.get_submodule(i)) for i in block.ffn.inputs] == [(D, F)] * shape.inputs
            assert shape_of(model.get_submodule(block.ffn.output)) == (F, D)
        assert width_of(model) == D

    def test_the_residual_stream_is_where_the_map_says(self, name: str) -> None:
        """exit + entry's input is what the layer norm (post-norm) or the next sublayer (pre-norm) reads."""
        model, seen = fresh(name).model, {}

        def keep(key: tuple[str, str]) -> object:
            def hook(module: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
                given = args[0] if args else next(iter(kwargs.values()))
                seen[key] = given, output[0] if isinstance(output, tuple) else output

            return hook

        for block in blocks_of(model, "any"):
            for place in ("entry", "exit", "norm", "total"):
                for sublayer in block.sublayers:
                    path = getattr(sublayer, place)
                    if path is not None:
                        model.get_submodule(path).register_forward_hook(keep((path, place)), with_kwargs=True)
        model(**batch_of(name))
        for block in blocks_of(model, "any"):
            for sublayer in block.sublayers:
                x, branch = seen[sublayer.entry, "entry"][0], seen[sublayer.exit, "exit"][1]
                assert sublayer.post_norm == SHAPES[name].post_norm
                if sublayer.post_norm:
                    torch.testing.assert_close(seen[sublayer.norm, "norm"][0], x + branch)
                elif sublayer.total is not None:
                    torch.testing.assert_close(seen[sublayer.total, "total"][1], x + branch)
            assert block.ffn.sublayer.post_norm or block.ffn.sublayer.total is not None


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_a_mean_pooled_backbone_is_found_too(name: str) -> None:
    backbone = fresh(name).model.base_model
    pooled = MeanPooled(backbone.get_encoder() if name == "t5" else backbone, 2)
    blocks = blocks_of(pooled, "any")
    assert len(blocks) == LAYERS
    assert all(block.name.startswith("backbone.") for block in blocks)


def test_an_unknown_architecture_is_answered_with_what_was_looked_for() -> None:
    told = "looks for attention and feed-forward modules and knows where they lie in bert, .*, vit.*; got "
    with pytest.raises(ModelError, match=told + "Net, which has no config.model_type"):
        blocks_of(loaded().model, "lora")
    other = fresh("bert")
    other.model.config.model_type = "rwkv"
    with pytest.raises(ModelError, match=told + "a 'rwkv'"):
        blocks_of(other.model, "lora")


def test_a_model_that_is_not_laid_out_as_its_type_says_is_refused() -> None:
    model = fresh("bert").model
    del model.bert.encoder.layer[1].output.dense
    with pytest.raises(ModelError, match=r"expected to hold the module 'bert.encoder.layer.1.output.dense' and does"):
        blocks_of(model, "lora")
    del model.bert.encoder.layer
    with pytest.raises(ModelError, match=r"looks for the blocks of a bert in 'encoder\.layer', and finds none"):
        blocks_of(model, "lora")


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("bert", 2 * D),  # the embeddings' norm and the pooler
        ("roberta", D),
        ("distilbert", D),
        ("electra", D + D),  # and the map from the embeddings' width
        ("deberta-v2", D),
        ("gpt2", D),
        ("vit", 2 * D),  # the patches' map and the last norm
    ],
)
def test_bitfit_trains_every_bias(name: str, extra: int) -> None:
    made = attach(fresh(name), MethodSpec(name="bitfit"), SeedSpec())
    if name == "electra":
        extra += 12 - D  # its embeddings are narrower
    assert made.parameters_trained - made.head_parameters == LAYERS * (7 * D + F) + extra


@pytest.mark.parametrize("name", ["t5", "llama"])
def test_bitfit_has_nothing_to_train_where_there_are_no_biases(name: str) -> None:
    with pytest.raises(SpecError, match=r"looks for parameters called 'bias' outside the head .* finds none"):
        attach(fresh(name), MethodSpec(name="bitfit"), SeedSpec())


def test_the_query_of_gpt2_has_no_bias_of_its_own() -> None:
    with pytest.raises(SpecError, match=r"'transformer.h.0.attn.c_attn' holds query, key and value in one"):
        attach(fresh("gpt2"), MethodSpec(name="bitfit", options={"biases": "query-ffn"}), SeedSpec())
