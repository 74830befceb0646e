"""True architectures with random weights: a dense model's time does not depend on its values."""

import math
import os
from pathlib import Path
from typing import Any, cast

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from branchwise.bench.published import SHAPES
from branchwise.errors import UserError


def build(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    num_layers: int | None = None,
    vocabulary: int | None = None,
) -> PreTrainedModel:
    """A model of a published shape; `num_layers` and `vocabulary` cut it where memory is short. Raises
    UserError for a shape that is not known, and where its weights are more than all memory of a device.
    """
    if name not in SHAPES:
        raise UserError(f"shape {name!r} is not known", f"known: {', '.join(SHAPES)}")
    shape = {**SHAPES[name], "max_position_embeddings": 65536}
    config = CONFIG_MAPPING[shape.pop("model_type")](**shape)
    if num_layers is not None:
        config.num_hidden_layers = num_layers
        config.layer_types = config.layer_types[:num_layers] if config.layer_types else None
    if vocabulary is not None:
        config.vocab_size = vocabulary
    has, takes = (n / 2**30 for n in (_memory_of(device), _weight_bytes(config, dtype)))
    if takes > has:
        kind = str(dtype).removeprefix("torch.")
        raise UserError(
            f"{name} takes {takes:.1f} GiB in {kind}, and {device.type} has {has:.1f} GiB",
            "give --layers to cut it, --dtype bfloat16, or another --shape or --device",
        )
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.generation_config.eos_token_id = None
    return model.eval()


def _weight_bytes(config: PretrainedConfig, dtype: torch.dtype) -> int:
    """What the weights of a model take, without making them."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    return sum(parameter.nbytes for parameter in model.parameters())


def _memory_of(device: torch.device) -> float:
    """All memory of a device, in bytes, whatever limit a job has; infinite where nobody says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "cpu" and "SC_PHYS_PAGES" in os.sysconf_names:
        pages = os.sysconf("SC_PHYS_PAGES")
        return pages * os.sysconf("SC_PAGE_SIZE") if pages > 0 else math.inf
    return math.inf


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
