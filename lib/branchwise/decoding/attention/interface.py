"""Attention over the token tree, plugged into transformers by registration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from branchwise.decoding.attention.kernels import KERNELS, Kernel, Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.errors import UserError

PREFIX = "branchwise_"


def _interface(kernel: Kernel) -> Any:
    """A kernel as transformers calls it."""

    # What a step sees differs from step to step: torch.compile is to leave it alone.
    @torch.compiler.disable
    def attention(
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
        """Query (1, A, N, D) over key and value (1, H, S, D); returns (1, N, A, D).

        Raises UserError for attention sinks.
        """
        if s_aux is not None:
            raise UserError("attention sinks are not supported by the tree decoder", "use decoder hf")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        scoring = Scoring(scale, softcap, sliding_window or None)
        out = kernel(query[0], key[0], value[0], tree_step, scoring)
        return out.transpose(0, 1).contiguous()[None], None

    return attention


# Registered here alone and not with AttentionMaskInterface: transformers then builds no mask of its
# own for these implementations, and the tree's rule arrives through `tree_step`.
for _name, _kernel in KERNELS.items():
    AttentionInterface.register(f"{PREFIX}{_name}", _interface(_kernel))


@contextmanager
def tree_attention(model: PreTrainedModel, kernel: str) -> Iterator[None]:
    """Switch `model` to a kernel's attention over the tree, and back when the context ends.

    Raises UserError if the architecture does not dispatch its attention through transformers'
    interface: a silent fallback to plain attention would let branches see each other.
    """
    before = model.config._attn_implementation
    if not model._can_set_attn_implementation():
        raise UserError(
            f"{type(model).__name__} does not take its attention from transformers' interface",
            "use decoder hf for this model",
        )
    model.set_attn_implementation(f"{PREFIX}{kernel}")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
