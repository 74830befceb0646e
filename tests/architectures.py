"""Small models with random weights, one an architecture, and the reference they are held to."""

from functools import cache

import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

VOCABULARY = 101

_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": 7,
    "pad_token_id": 0,
    # Weights large enough that logits differ: with the default 0.02 every argmax is a near tie.
    "initializer_range": 0.25,
}

BUILDERS = {
    "qwen2": lambda shape: Qwen2ForCausalLM(Qwen2Config(**shape)),
    "qwen3": lambda shape: Qwen3ForCausalLM(Qwen3Config(**shape, head_dim=12)),
    "llama": lambda shape: LlamaForCausalLM(LlamaConfig(**shape)),
    "mistral": lambda shape: MistralForCausalLM(MistralConfig(**shape, sliding_window=None)),
    "mistral_windowed": lambda shape: MistralForCausalLM(MistralConfig(**shape, sliding_window=9)),
}


@cache
def model_of(name: str, vocabulary: int = VOCABULARY, max_positions: int = 512) -> PreTrainedModel:
    """The model of an architecture, built once."""
    torch.manual_seed(len(name))
    shape = {**_SHAPE, "vocab_size": vocabulary, "max_position_embeddings": max_positions}
    return BUILDERS[name](shape).eval()


@torch.no_grad()
def greedy(model: PreTrainedModel, prompt: list[int], max_new_tokens: int) -> list[int]:
    """Ordinary causal decoding without any cache: the plainest reference there is."""
    ids, new = list(prompt), []
    for _ in range(max_new_tokens):
        token = int(model(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
        if token == model.config.eos_token_id:
            break
        ids.append(token)
        new.append(token)
    return new
