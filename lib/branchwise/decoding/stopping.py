"""Facts about a model that every decoder needs: where it stops and how far it reads."""

from typing import Any

from transformers import PreTrainedModel


def stop_ids_of(model: PreTrainedModel, tokenizer: Any = None) -> frozenset[int]:
    """End-of-sequence ids of the generation config and, if given, of the tokenizer."""
    configured = model.generation_config.eos_token_id
    ids = set(configured) if isinstance(configured, (list, tuple)) else {configured}
    if tokenizer is not None:
        ids.add(tokenizer.eos_token_id)
    return frozenset(i for i in ids if i is not None)


def max_context_of(model: PreTrainedModel) -> int:
    """The longest sequence that the model was made for, in tokens."""
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", 0) or 1_000_000_000)
