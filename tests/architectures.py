"""Small models with random weights, one an architecture, and the reference they are held to."""

from functools import cache

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

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

# transformers' name of each architecture, and what its config needs beyond the common shape.
BUILDERS: dict[str, tuple[str, dict]] = {
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 12}),
    "llama": ("llama", {}),
    "mistral": ("mistral", {"sliding_window": None}),
    "mistral_windowed": ("mistral", {"sliding_window": 9}),
    "phi3": ("phi3", {}),
    # Sliding layers in turn with full ones; gemma2 caps its scores with a tanh.
    "gemma2": ("gemma2", {"head_dim": 12, "sliding_window": 9, "query_pre_attn_scalar": 12}),
    "gemma3": (
        "gemma3_text",
        {
            "head_dim": 12,
            "sliding_window": 9,
            "query_pre_attn_scalar": 12,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
    ),
    "olmo2": ("olmo2", {}),
    # Every second layer without rotary positions.
    "smollm3": ("smollm3", {"no_rope_layers": [1, 0, 1]}),
    "gpt_neox": ("gpt_neox", {}),
}


@cache
def model_of(name: str, vocabulary: int = VOCABULARY, max_positions: int = 512) -> PreTrainedModel:
    """The model of an architecture, built once."""
    torch.manual_seed(len(name))
    shape = {**_SHAPE, "vocab_size": vocabulary, "max_position_embeddings": max_positions}
    architecture, more = BUILDERS[name]
    config = CONFIG_MAPPING[architecture](**{**shape, **more})
    # transformers 5.17 and 5.18 give gemma2, unasked, an attention that leaves its cap out.
    capped = getattr(config, "attn_logit_softcapping", None) is not None
    how = {"attn_implementation": "eager"} if capped else {}
    return AutoModelForCausalLM.from_config(config, **how).eval()


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
