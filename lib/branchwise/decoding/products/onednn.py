"""Copies of weights in the layout that oneDNN multiplies fastest by.

A copy has to be noticed when the original changes. What torch counts (writes in place, another tensor)
is watched; writes past its counting (through `.data`, as adapters are merged) are found by comparing one
weight in `SAMPLED`: whole rows, columns or matrices of that size cannot change unseen.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

SAMPLED = 257, 263
"""One weight in so many is compared, the first that does not divide the width of a matrix: primes, so
that every column comes up."""
_HINT_ROWS = 64


class _Copy(NamedTuple):
    """A copy, with what tells whether the original is still the same."""

    address: int
    version: int
    sample: Tensor
    reordered: Tensor


class ReorderedWeights:
    """The copies of linear modules, fp32 on the CPU; as much memory again as the originals."""

    def __init__(self) -> None:
        self._copies: dict[nn.Linear, _Copy] = {}

    def of(self, module: nn.Linear) -> Tensor:
        """The copy of a module's weights as they are now."""
        weight = module.weight.detach()
        address, version = weight.data_ptr(), module.weight._version
        step = next(step for step in SAMPLED if weight.shape[1] % step or step == SAMPLED[-1])
        sample = weight.flatten()[::step].clone()
        had = self._copies.get(module)
        # Compared as bits, so that a NaN is equal to itself.
        if had is None or not (
            (address, version) == (had.address, had.version)
            and torch.equal(sample.view(torch.int32), had.sample.view(torch.int32))
        ):
            reordered = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT_ROWS)
            had = self._copies[module] = _Copy(address, version, sample, reordered)
        return had.reordered

    def forget(self) -> None:
        """Copy everything anew: for writes through `.data` to a few weights, which nothing shows."""
        self._copies.clear()
