"""Facts about a model that decoders need: where it stops, how far it reads, how its heads are shaped."""

import inspect
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel

from branchwise.decoding.models.templates import turn_end_ids_of


def stop_ids_of(model: PreTrainedModel, tokenizer: Any = None) -> frozenset[int]:
    """End-of-sequence ids of the generation config and, if given, of the tokenizer; and the id with which
    its chat template ends the assistant's turn: base checkpoints name another one as their end.
    """
    configured = model.generation_config.eos_token_id
    ids = set(configured) if isinstance(configured, (list, tuple)) else {configured}
    if tokenizer is not None:
        ids.add(getattr(tokenizer, "eos_token_id", None))
        ids |= turn_end_ids_of(tokenizer)
    return frozenset(i for i in ids if i is not None)


def max_context_of(model: PreTrainedModel) -> int:
    """See `context_of`."""
    return context_of(model.config)


def context_of(config: Any) -> int:
    """The longest sequence that a model was made for, in tokens; a milliard where its config names none
    (some say so by 0 or -1).
    """
    reach = getattr(config.get_text_config(), "max_position_embeddings", None) or 0
    return int(reach) if reach > 0 else 1_000_000_000


class Heads(NamedTuple):
    """Query heads, key-value heads, and their width."""

    query: int
    key_value: int
    width: int


def heads_of(model: PreTrainedModel) -> Heads:
    """The attention heads of a model, whatever its config leaves to the default."""
    config = model.config.get_text_config()
    query = config.num_attention_heads
    key_value = getattr(config, "num_key_value_heads", None) or query
    return Heads(query, key_value, getattr(config, "head_dim", None) or config.hidden_size // query)


_cache_names: dict[Any, str] = {}


def cache_name(kind: Any) -> str:
    """What modules of a class call the KV cache they are given: `cache` from transformers 5.24 on."""
    if kind not in _cache_names:
        known = inspect.signature(kind.forward).parameters
        _cache_names[kind] = "cache" if "cache" in known else "past_key_values"
    return _cache_names[kind]


def devices_of(model: PreTrainedModel) -> list[torch.device]:
    """The devices that a model's parameters lie on, in the order of its layers."""
    return list(dict.fromkeys(parameter.device for parameter in model.parameters()))


def synchronize(device: torch.device) -> None:
    """Wait until a device has done what it was given (a GPU works on by itself)."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
