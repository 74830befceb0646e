"""FlexAttention with the tree's rule as its mask function."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep


@cache
def _flex(compiled: bool) -> Callable:
    """FlexAttention, compiled on a GPU. On a CPU its compiled form takes half a minute for every new
    shape and was measured to give NaN for small ones, so there it runs as written: slow, and right.
    """
    if compiled:
        return torch.compile(flex_attention, dynamic=True)
    return flex_attention


def _capping(softcap: float) -> Callable[..., Tensor]:
    """The score function that caps scores."""

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    return capped


class Flex(Kernel):
    """FlexAttention under the tree's block mask, a cap of scores as its score function."""

    name = "flex"

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        self._blocks: dict[int | None, BlockMask] = {}

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        out = _flex(query.device.type == "cuda")(
            query,
            key,
            value,
            score_mod=None if scoring.softcap is None else _capping(scoring.softcap),
            block_mask=self._block_mask(scoring.window),
            scale=scoring.scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return out.transpose(1, 2)

    def _block_mask(self, window: int | None) -> BlockMask:
        """FlexAttention's form of the step's mask."""
        if window not in self._blocks:
            assert self.step is not None, "begin() comes before every forward pass"
            mask_NS = self.step.mask(window)

            def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
                return mask_NS[query, key]

            num_queries, num_keys = mask_NS.shape
            self._blocks[window] = create_block_mask(
                visible, None, None, num_queries, num_keys, device=str(mask_NS.device)
            )
        return self._blocks[window]
