"""Attention over the token tree, plugged into transformers by registration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedConfig, PreTrainedModel

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring
from branchwise.errors import UserError

NAME = "branchwise_tree"
"""What transformers calls the tree's attention, whatever the kernel."""
NAME_COMPILED = f"{NAME}_compiled"
"""The same, for a model that goes through torch.compile."""


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    tree_kernel: Kernel | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Query (1, A, N, D) over key and value (1, H, S, D); returns (1, N, A, D).

    Raises UserError for attention sinks, and for a call that does not come from a decoder's step.
    """
    if tree_kernel is None:
        raise UserError(
            "the model was called by itself while a tree decoder has it in hand",
            "call it before or after decoding, not from a hook, a listener or inside `attached()`",
        )
    if s_aux is not None:
        raise UserError("attention sinks are not supported by the tree decoder", "use decoder hf")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    return tree_kernel.attend(query, key, value, Scoring(scale, softcap, sliding_window or None)), None


# Registered here alone and not with AttentionMaskInterface: transformers then builds no mask of its
# own for this implementation, and the tree's rule arrives through `tree_kernel`.
AttentionInterface.register(NAME, attention)
# What a step sees differs from step to step: torch.compile is to leave it alone. A name of its own, since
# stepping out of torch.compile costs time in every layer where nothing is compiled, too.
AttentionInterface.register(NAME_COMPILED, torch.compiler.disable(attention))


def _configs(config: PreTrainedConfig) -> Iterator[PreTrainedConfig]:
    """A config and all below it, parents first."""
    yield config
    for name in config.sub_configs:
        below = getattr(config, name, None)
        if isinstance(below, PreTrainedConfig):
            yield from _configs(below)


@contextmanager
def tree_attention(model: PreTrainedModel, compiles: bool = False) -> Iterator[None]:
    """Switch `model` to attention over the tree; every part of it has its own back when this ends.
    `compiles`: it goes through torch.compile.

    Raises UserError if the architecture does not dispatch its attention through transformers'
    interface: a silent fallback to plain attention would let branches see each other.
    """
    if not model._can_set_attn_implementation():
        raise UserError(
            f"{type(model).__name__} does not take its attention from transformers' interface",
            "use decoder hf for this model",
        )
    before = [(config, config._attn_implementation) for config in _configs(model.config)]
    try:
        model.set_attn_implementation(NAME_COMPILED if compiles else NAME)
        yield
    finally:
        # Parents first: setting one sets all below it.
        for config, implementation in before:
            config._attn_implementation = implementation
