"""The tiny Qwen3 before training: random weights, some attention heads preset to look back."""

import math

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.training.recipe import Shape


def build_model(shape: Shape, chat: ChatTokenizer) -> Qwen3ForCausalLM:
    """A Qwen3 with random weights, look-back heads preset."""
    config = Qwen3Config(
        vocab_size=len(chat.tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=chat.tokenizer.eos_token_id,
        pad_token_id=chat.tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    _preset_look_back(model, shape)
    return model


@torch.no_grad()
def _preset_look_back(model: Qwen3ForCausalLM, shape: Shape) -> None:
    """Heads 0-2 of layer 0 start by attending 1, 2 and 3 tokens back, head 0 of layer 1 one back.

    With dimension 0 of every embedding constant, a query made of that constant and a key made of the
    same constant rotated by RoPE by d positions peak at distance d.
    """
    model.model.embed_tokens.weight[:, 0] = 0.1
    dim, half = shape.head_dim, shape.head_dim // 2
    for layer, distances in ((0, (1, 2, 3)), (1, (1,))):
        attention = model.model.layers[layer].self_attn
        attention.q_norm.weight.fill_(1.7)
        attention.k_norm.weight.fill_(1.7)
        for head, distance in enumerate(distances[: shape.num_heads]):
            for weight, turns in ((attention.q_proj.weight, 0), (attention.k_proj.weight, 1)):
                rows = slice(head * dim, (head + 1) * dim)
                weight[rows] *= 0.3
                weight[rows, 0] = 0
                for channel in range(5):
                    angle = shape.rope_theta ** (-channel / half) * distance * turns
                    weight[head * dim + channel, 0] = math.cos(angle)
                    weight[head * dim + half + channel, 0] = math.sin(angle)
    for layer in model.model.layers[2:]:
        layer.self_attn.q_norm.weight.fill_(1.4)
        layer.self_attn.k_norm.weight.fill_(1.4)
