"""Small models with random weights, one an architecture, and the reference they are held to."""

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
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_SHAPE)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_SHAPE, head_dim=12)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SHAPE)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_SHAPE, sliding_window=None)),
    "mistral_windowed": lambda: MistralForCausalLM(MistralConfig(**_SHAPE, sliding_window=9)),
}

_built: dict[str, PreTrainedModel] = {}


def model_of(name: str) -> PreTrainedModel:
    """The model of an architecture, built once."""
    if name not in _built:
        torch.manual_seed(len(name))
        _built[name] = BUILDERS[name]().eval()
    return _built[name]


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
