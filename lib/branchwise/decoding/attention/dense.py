"""One attention under the tree's whole mask."""

import torch
from torch import Tensor
from torch.nn import functional

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring, explicit
from branchwise.decoding.attention.step import TreeStep


class Dense(Kernel):
    """Query heads that share a key head become rows of one attention (G*N rows), so keys are never
    repeated in memory.
    """

    name = "dense"
    differentiable = True

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        self._masks: dict[tuple[int | None, int], Tensor] = {}

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        _, num_heads, num_queries, width = query.shape
        num_kv_heads = key.shape[1]
        heads_per_kv = num_heads // num_kv_heads
        mask = self._mask(scoring.window, heads_per_kv)
        rows = query.reshape(1, num_kv_heads, heads_per_kv * num_queries, width)
        if scoring.softcap is None:
            out = functional.scaled_dot_product_attention(rows, key, value, mask, scale=scoring.scale)
        else:
            out = explicit(rows, key, value, scoring, mask)[0].to(query.dtype)
        return out.reshape(1, num_heads, num_queries, value.shape[-1]).transpose(1, 2)

    def taken(self) -> dict[int | None, Tensor]:
        """What the attention of this step took, by window (None: no window), bool (N, S); all ones where
        it masked nothing.
        """
        assert self.step is not None, "begin() comes before every forward pass"
        shape = len(self.step.pending.tokens), self.step.num_slots
        # One row of heads for all: they share the mask.
        masks = {window: mask[: shape[0]] for (window, _), mask in self._masks.items()}
        free = [window for window, is_free in self._unmasked.items() if is_free]
        return masks | {window: self.step.slots_N.new_ones(shape, dtype=torch.bool) for window in free}

    def _mask(self, window: int | None, heads_per_kv: int) -> Tensor:
        """The step's mask once for each group of query heads, bool (G*N, S)."""
        name = (window, heads_per_kv)
        if name not in self._masks:
            assert self.step is not None, "begin() comes before every forward pass"
            mask = self.step.mask(window)
            self._masks[name] = mask if heads_per_kv == 1 else torch.cat([mask] * heads_per_kv)
        return self._masks[name]
