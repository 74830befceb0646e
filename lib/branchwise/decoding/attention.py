"""Attention over the token tree, plugged into transformers by registration.

Shape legend: A query heads, H key-value heads, G = A / H, N query tokens, S key slots, D head width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

from branchwise.errors import UserError

DENSE = "branchwise_dense"


@dataclass
class TreeStep:
    """What one forward pass knows about the tree; reaches every attention layer as a keyword.

    `mask_NS` is bool, true where a token sees a slot; the positions are logical ones, int64.
    """

    mask_NS: Tensor
    position_N: Tensor
    position_S: Tensor
    _windowed: dict[int, Tensor] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor:
        """The mask, narrowed to the last `window` logical positions for a sliding-window layer."""
        if not window:
            return self.mask_NS
        if window not in self._windowed:
            near = self.position_N[:, None] - self.position_S < window
            self._windowed[window] = self.mask_NS & near
        return self._windowed[window]


def dense_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    tree_step: TreeStep,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of query (1, A, N, D) over key and value (1, H, S, D) under the tree's mask.

    Query heads that share a key head become rows of one attention (G*N rows), so keys are never
    repeated in memory. Returns (1, N, A, D). Raises UserError for attention sinks.
    """
    if s_aux is not None:
        raise UserError("attention sinks are not supported by the tree decoder", "use decoder hf")
    _, num_heads, num_queries, width = query.shape
    num_groups = num_heads // key.shape[1]
    mask = tree_step.mask(sliding_window).repeat(num_groups, 1)
    rows = query.reshape(1, key.shape[1], num_groups * num_queries, width)
    scale = width**-0.5 if scaling is None else scaling
    if softcap is None:
        out = functional.scaled_dot_product_attention(rows, key, value, mask, scale=scale)
    else:
        scores = softcap * torch.tanh(rows @ key.transpose(2, 3) * scale / softcap)
        weights = scores.masked_fill(~mask, -torch.inf).softmax(-1, dtype=torch.float32)
        out = weights.to(value.dtype) @ value
    out = out.reshape(1, num_heads, num_queries, value.shape[-1])
    return out.transpose(1, 2).contiguous(), None


# Registered here alone and not with AttentionMaskInterface: transformers then builds no mask of its
# own for this implementation, and the tree's mask arrives through `tree_step`.
AttentionInterface.register(DENSE, dense_attention)


@contextmanager
def tree_attention(model: PreTrainedModel) -> Iterator[None]:
    """Switch `model` to attention over the tree, and back when the context ends.

    Raises UserError if the architecture does not dispatch its attention through transformers'
    interface: a silent fallback to plain attention would let branches see each other.
    """
    before = model.config._attn_implementation
    if not model._can_set_attn_implementation():
        raise UserError(
            f"{type(model).__name__} does not take its attention from transformers' interface",
            "use decoder hf for this model",
        )
    model.set_attn_implementation(DENSE)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
