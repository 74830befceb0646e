"""True architectures with random weights: a dense model's time does not depend on its values.

Numbers are those of each model's published config.json on the Hugging Face hub.
"""

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from branchwise.errors import UserError

SHAPES: dict[str, dict] = {
    "qwen2.5-0.5b": {
        "model_type": "qwen2",
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "qwen2.5-7b": {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    },
    "qwen3-4b": {
        "model_type": "qwen3",
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "llama-3.1-8b": {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
    },
}


def build(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    num_layers: int | None = None,
    vocabulary: int | None = None,
) -> PreTrainedModel:
    """A model of a published shape; `num_layers` and `vocabulary` cut it where memory is short."""
    if name not in SHAPES:
        raise UserError(f"shape {name!r} is not known", f"known: {', '.join(SHAPES)}")
    shape = {**SHAPES[name], "max_position_embeddings": 65536}
    config = CONFIG_MAPPING[shape.pop("model_type")](**shape)
    if num_layers is not None:
        config.num_hidden_layers = num_layers
        config.layer_types = config.layer_types[:num_layers] if config.layer_types else None
    if vocabulary is not None:
        config.vocab_size = vocabulary
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.generation_config.eos_token_id = None
    return model.eval()
