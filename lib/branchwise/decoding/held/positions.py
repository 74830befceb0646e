"""Positions beyond one line: interleaved two-dimensional rotary positions.

y is the time (a token's logical position), x the branch. Some rotary channels turn with x too; all
others, and every channel of a branch at x = 0, turn as the model was trained to.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.products.packed import replaced_forwards
from branchwise.errors import UserError


@dataclass(frozen=True)
class Grid2D:
    """Which rotary channels know the branch, and how strongly.

    `stride`: x between two neighbouring children of a fork. `channels`: indices into the rotary
    channels (0 turns fastest); none given: the last quarter, the slowest. `axis`: `interleaved`, of
    the listed channels every second one, beginning with the first, takes x; `x`, all of them.
    `combine`: `add`, such a channel turns with y + x (nothing changes at x = 0); `replace`, with x
    alone, as in the repository that introduced the scheme (the trunk then loses its order there).
    """

    stride: int = 32
    channels: tuple[int, ...] | None = None
    axis: Literal["interleaved", "x"] = "interleaved"
    combine: Literal["add", "replace"] = "add"

    def columns(self, num_channels: int) -> list[int]:
        """The channels that take x. Raises UserError for one that the model does not have."""
        listed = self.channels
        if listed is None:
            listed = tuple(range(num_channels - num_channels // 4, num_channels))
        beyond = [channel for channel in listed if not 0 <= channel < num_channels]
        if beyond:
            raise UserError(
                f"rotary channels {beyond} do not exist",
                f"this model has channels 0 to {num_channels - 1}",
            )
        return list(listed[::2] if self.axis == "interleaved" else listed)


class GridRotary:
    """Turns the chosen channels of a model's rotary modules by the branch as well."""

    def __init__(self, model: PreTrainedModel, grid: Grid2D) -> None:
        self.grid = grid
        self._x_N: Tensor | None = None
        self._modules = [m for m in model.modules() if type(m).__name__.endswith("RotaryEmbedding")]
        if not self._modules:
            raise UserError(
                f"{type(model).__name__} has no rotary positions", "use positions path or shared"
            )

    def aim(self, x_N: Tensor) -> None:
        """Set x of the coming step's tokens, int64 (N,)."""
        self._x_N = x_N

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The rotary modules give two-dimensional angles for as long as this lasts."""
        with replaced_forwards({module: self._forward(module) for module in self._modules}):
            yield

    def _forward(self, module: nn.Module) -> Any:
        plain = module.forward

        def forward(hidden: Tensor, position_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            cos, sin = plain(hidden, position_ids, *args, **kwargs)
            x_N = self._x_N
            if x_N is None or (not bool(x_N.any()) and self.grid.combine == "add"):
                return cos, sin
            base = position_ids if self.grid.combine == "add" else torch.zeros_like(position_ids)
            cos_x, sin_x = plain(hidden, base + x_N, *args, **kwargs)
            # Both halves of the table hold the same channels, once for each half of a head.
            num_channels = cos.shape[-1] // 2
            takes_x = torch.zeros(num_channels, dtype=torch.bool, device=cos.device)
            takes_x[self.grid.columns(num_channels)] = True
            takes_x = takes_x.repeat(2)
            return torch.where(takes_x, cos_x, cos), torch.where(takes_x, sin_x, sin)

        return forward
