"""Where the children of a fork stand, and positions beyond one line: two-dimensional rotary ones.

Of these y is the time (a token's logical position), x the branch. Some rotary channels turn with x too;
all others, and every channel of a branch at x = 0, turn as the model was trained to.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.options import Grid2D
from branchwise.decoding.products.replacing import replaced_forwards
from branchwise.errors import UserError


def starts_of(runs: Sequence[Sequence[int]], start: int, layout: str) -> list[int]:
    """The position of each child's first token, its parent ending at `start`; see `options.Layout`."""
    if layout == "consecutive":
        return list(accumulate(map(len, runs), initial=start))[: len(runs)]
    longest = max(map(len, runs), default=0)
    return [start + (longest - len(run) if layout == "shared" else 0) for run in runs]


def columns_of(grid: Grid2D, num_channels: int) -> list[int]:
    """The rotary channels that take x. Raises UserError for one that the model does not have."""
    listed = grid.channels
    if listed is None:
        listed = tuple(range(num_channels - num_channels // 4, num_channels))
    beyond = [channel for channel in listed if not 0 <= channel < num_channels]
    if beyond:
        raise UserError(
            f"rotary channels {beyond} do not exist",
            f"this model has channels 0 to {num_channels - 1}",
        )
    return list(listed[::2] if grid.axis == "interleaved" else listed)


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
            cos_x, sin_x = plain(hidden, base + x_N.to(base.device), *args, **kwargs)
            # Both halves of the table hold the same channels, once for each half of a head.
            num_channels = cos.shape[-1] // 2
            takes_x = torch.zeros(num_channels, dtype=torch.bool, device=cos.device)
            takes_x[columns_of(self.grid, num_channels)] = True
            takes_x = takes_x.repeat(2)
            return torch.where(takes_x, cos_x, cos), torch.where(takes_x, sin_x, sin)

        return forward
