"""Attention over packed rows, by the tree's masks: what decoding's dense kernel computes, for several
rows at once and with gradients.

Shape legend: B rows, T positions of a row, A query heads, H key-value heads, D head width.
"""

from torch import Tensor
from torch.nn import functional

from branchwise.decoding.attention.scores import Scoring, explicit
from branchwise.training.packing import Batch


class PackedAttention:
    """The attention of one batch, as `tree_kernel` of `decoding.attention.interface`. A layer with a
    sliding window gets the mask narrowed to it, by logical positions as in decoding.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._masks: dict[int | None, Tensor] = {}
        self.num_calls = 0

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        """Query (B, A, T, D) over key and value (B, H, T, D); returns (B, T, A, D)."""
        self.num_calls += 1
        mask = self._mask(scoring.window)
        repeats = query.shape[1] // key.shape[1]
        if repeats > 1:
            key, value = (one.repeat_interleave(repeats, dim=1) for one in (key, value))
        if scoring.softcap is None:
            out = functional.scaled_dot_product_attention(query, key, value, mask, scale=scoring.scale)
        else:
            out = explicit(query, key, value, scoring, mask)[0].to(query.dtype)
        return out.transpose(1, 2).contiguous()

    def _mask(self, window: int | None) -> Tensor:
        """Which positions each token sees, bool (B, 1, T, T)."""
        if window not in self._masks:
            mask = self._batch.mask_B1TT
            if window is not None:
                positions = self._batch.positions_BT
                near = positions[:, :, None] - positions[:, None] < window
                mask = mask & near[:, None]
            self._masks[window] = mask
        return self._masks[window]
