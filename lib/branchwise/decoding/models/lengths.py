"""Lengths beyond which a model attends differently, made short for a comparison that has to pass them."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

LENGTHS = re.compile(r"window|local_attention|index_topk")
"""Names of settings, whole numbers of tokens, beyond which a model attends differently."""
SHORT = 40
"""Tokens that such lengths are set to for a comparison."""


def rotary_kinds_by_length(config: Any) -> set[str]:
    """Kinds of rotary angles in a text config that depend on how long the longest prompt is."""
    rope = getattr(config, "rope_parameters", None) or {}
    # One set of parameters, or one for each type of layer.
    sets = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    return {"dynamic", "longrope"} & {one.get("rope_type") for one in sets}


@contextmanager
def short_lengths(model: PreTrainedModel) -> Iterator[None]:
    """Such lengths are short for as long as this lasts: in the config, and where modules keep them."""
    config = model.config.get_text_config()
    lengths = {name: value for name, value in config.to_dict().items() if _is_length(name, value)}
    before: list[tuple[Any, str, int]] = [(config, name, value) for name, value in lengths.items()]
    for module in model.modules():
        before += [
            (module, name, value)
            for name, value in vars(module).items()
            if _is_length(name, value) and value in lengths.values()
        ]
    try:
        for owner, name, value in before:
            setattr(owner, name, min(value, SHORT))
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


def _is_length(name: str, value: Any) -> bool:
    # `max_window_layers` and the like count layers.
    return bool(LENGTHS.search(name)) and type(value) is int and value > 1 and "layers" not in name
