"""Norms, gated units and heads in one call: known by what they do, the same, and gone afterwards."""

import pytest
import torch
from torch import nn

from branchwise import TreeDecoder
from branchwise.decoding.attention.interface import tree_attention
from branchwise.decoding.products.heads import ProjectedHeads
from branchwise.decoding.products.linear import LinearProducts
from branchwise.decoding.products.small import SmallOperations
from tests.architectures import BUILDERS, greedy, model_of


class Scaled(nn.Module):
    """It looks like a norm and is none."""

    def __init__(self, model_norm: nn.Module) -> None:
        super().__init__()
        self.weight, self.eps = model_norm.weight, 1e-6

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return rows * self.weight


class Summed(nn.Module):
    """A gated unit by its parts, another by what it does."""

    def __init__(self, unit: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = unit.gate_proj, unit.up_proj, unit.down_proj
        self.act_fn = unit.act_fn

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.down_proj(self.act_fn(self.gate_proj(rows)) + self.up_proj(rows))


def small_of(model: nn.Module) -> tuple[SmallOperations, LinearProducts]:
    products = LinearProducts(model, "rows")
    if not products.are_own:
        pytest.skip(f"this machine cannot build the library: {products.layout}")
    return SmallOperations(model, products), products


def heads_of_model(model: nn.Module) -> ProjectedHeads:
    _, products = small_of(model)
    heads = ProjectedHeads(model, products)
    with tree_attention(model), heads.attached():
        pass
    return heads


FOUND = {
    # name: (norms, gated units, attention modules) of two layers; Gemma's units open by another function
    "llama": (5, 2, 2),
    "qwen2": (5, 2, 2),
    "qwen3": (9, 2, 2),
    "mistral": (5, 2, 2),
}


@pytest.mark.parametrize("name", [name for name in FOUND if name in BUILDERS])
def test_what_is_found_in_an_architecture(name: str) -> None:
    model = model_of(name)
    layers = model.config.num_hidden_layers
    small, _ = small_of(model)
    norms, units, heads = FOUND[name]
    scaled = (norms - 1) * layers // 2 + 1, units * layers // 2
    assert (small.count["norms"], small.count["gated units"]) == scaled
    assert heads_of_model(model).count == heads * layers // 2


class Opened(Scaled):
    """It looks like a norm, and takes two inputs."""

    def forward(self, rows: torch.Tensor, gate: torch.Tensor) -> torch.Tensor:
        return rows * self.weight * gate


def test_what_only_looks_so_is_left_alone() -> None:
    unit, norm = model_of("llama").model.layers[0].mlp, model_of("llama").model.norm
    small, _ = small_of(nn.ModuleList([Scaled(norm), Opened(norm), Summed(unit)]))
    assert small.count == {"norms": 0, "gated units": 0}


def test_a_part_that_somebody_watches_is_left_alone() -> None:
    """A hook on a part of a unit would not be called by what takes the place of the whole."""
    model = model_of("llama")
    seen = []
    handles = [
        model.model.layers[0].mlp.up_proj.register_forward_hook(lambda *_: seen.append("up")),
        model.model.layers[0].self_attn.k_proj.register_forward_hook(lambda *_: seen.append("key")),
        model.model.layers[0].self_attn.register_forward_hook(lambda *_: seen.append("heads")),
    ]
    try:
        decoder = TreeDecoder(model, products="rows")
        assert decoder.complete([[9, 10, 11]], 3) == [greedy(model, [9, 10, 11], 3)]
    finally:
        for handle in handles:
            handle.remove()
    assert {"up", "key", "heads"} <= set(seen)


def test_parts_that_are_changed_later_are_followed() -> None:
    torch.manual_seed(3)
    model = type(model_of("qwen3"))(model_of("qwen3").config).eval()
    decoder = TreeDecoder(model, products="rows")
    prompts = [[9, 10, 11, 12 + i] for i in range(3)]
    decoder.complete(prompts, 4)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.input_layernorm.weight.mul_(torch.rand_like(layer.input_layernorm.weight) + 0.5)
            layer.self_attn.q_norm.weight.mul_(torch.rand_like(layer.self_attn.q_norm.weight) + 0.5)
            layer.self_attn.k_proj.weight.data += 0.1
            layer.mlp.up_proj = nn.Linear(layer.mlp.up_proj.in_features, layer.mlp.up_proj.out_features)
            layer.self_attn.v_proj = nn.Linear(*reversed(layer.self_attn.v_proj.weight.shape), bias=False)
    assert decoder.complete(prompts, 4) == [greedy(model, prompt, 4) for prompt in prompts]


def test_everything_is_as_it_was_afterwards() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model, products="rows")
    with decoder.attached():
        changed = [module for module in model.modules() if "forward" in vars(module)]
    assert changed
    assert not [module for module in model.modules() if "forward" in vars(module)]
