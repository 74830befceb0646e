"""Weight matrices in the layout that a CPU multiplies fastest by a few rows.

A decoding step has one row a branch. Plain matrix products reach a fraction of the memory's speed for
2 to 32 rows; oneDNN's blocked layout was measured 1.6 to 1.85 times as fast there.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

FEWEST_ROWS, MOST_ROWS = 2, 64
"""Row counts for which the packed layout is used."""
_HINT_ROWS = 8


class PackedWeights:
    """The packed weights of a model, made once; they take as much memory again as the model.

    Does nothing without a model, off the CPU, for other dtypes than fp32, or where torch was built
    without oneDNN.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self._packed: dict[nn.Linear, tuple[tuple[int, int], Tensor]] = {}
        self._linears: list[nn.Linear] = []
        if model is None or not torch.backends.mkldnn.is_available():
            return
        for module in model.modules():
            # Not its subclasses: what they compute is their own.
            fits = type(module) is nn.Linear and module.weight.device.type == "cpu"
            if fits and module.weight.dtype == torch.float32:
                self._linears.append(module)
                self._pack(module)

    def _pack(self, module: nn.Linear) -> Tensor:
        """The packed form of a module's weights as they are now."""
        weight = module.weight.detach()
        state = (weight.data_ptr(), module.weight._version)
        if module not in self._packed or self._packed[module][0] != state:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT_ROWS)
            self._packed[module] = (state, packed)
        return self._packed[module][1]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model multiplies by packed weights, for as long as this lasts and where it helps.

        Weights that were changed since the last time are packed again.
        """
        forwards = {module: _forward(module, self._pack(module)) for module in self._linears}
        with replaced_forwards(forwards):
            yield


@contextmanager
def replaced_forwards(forwards: dict) -> Iterator[None]:
    """Modules compute by the given functions for as long as this lasts; what was there comes back."""
    before = {module: vars(module).get("forward") for module in forwards}
    for module, forward in forwards.items():
        module.forward = forward
    try:
        yield
    finally:
        for module, own in before.items():
            if own is None:
                del module.forward
            else:
                module.forward = own


def _forward(module: nn.Linear, packed: Tensor) -> Callable[[Tensor], Tensor]:
    weight, bias = module.weight, module.bias

    def forward(rows: Tensor) -> Tensor:
        num_rows = rows.numel() // rows.shape[-1]
        if not FEWEST_ROWS <= num_rows <= MOST_ROWS:
            return functional.linear(rows, weight, bias)
        flat = rows.reshape(num_rows, -1)
        out = torch.ops.mkldnn._linear_pointwise(flat, packed, bias, "none", [], "")
        return out.view(*rows.shape[:-1], -1)

    return forward
