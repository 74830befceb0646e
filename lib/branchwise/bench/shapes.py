"""True architectures with random weights: a dense model's time does not depend on its values."""

from pathlib import Path
from typing import Any, cast

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PreTrainedModel

from branchwise.bench.published import SHAPES
from branchwise.errors import UserError


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


def load(path: Path, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """A model from a folder, that never stops by itself. Raises UserError where there is none."""
    if not (path / "config.json").exists():
        raise UserError(f"model folder {path} has no config.json", "check --path")
    loaded = AutoModelForCausalLM.from_pretrained(
        path, dtype=dtype, trust_remote_code=False, use_safetensors=True
    )
    model = cast(Any, loaded).to(device).eval()
    model.generation_config.eos_token_id = None
    return model
