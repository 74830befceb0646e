"""Weight matrices in the layout that a CPU multiplies fastest by a few rows.

A decoding step has one row a branch. Plain matrix products reach a fraction of the memory's speed for
2 to 32 rows. Two layouts do better: the project's own kernel's, where the machine has a C compiler
(see `branchwise.decoding.products.row_kernel`), and oneDNN's.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from branchwise.decoding.products.row_kernel import RowKernel, row_kernel

FEWEST_ROWS, MOST_ROWS = 2, 64
"""Row counts for which oneDNN's layout is used; the project's own is used from one row on, so that a
row's result is the same whatever else is in the step."""
_HINT_ROWS = 8


class PackedWeights:
    """The packed weights of a model, made once; they take as much memory again as the model.

    Does nothing without a model, off the CPU, or for other dtypes than fp32. `layout` says what is
    used: `compiled`, `onednn` with the reason why not the former, or `plain`.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self._packed: dict[nn.Linear, tuple[tuple[int, int], Tensor]] = {}
        self._linears: list[nn.Linear] = []
        self._kernel: RowKernel | None = None
        self.layout = "plain"
        # Not subclasses of Linear: what they compute is their own.
        modules = () if model is None else model.modules()
        fitting = [m for m in modules if type(m) is nn.Linear and _is_cpu_fp32(m.weight)]
        if not fitting:
            return
        kernel = row_kernel()
        if isinstance(kernel, RowKernel):
            self._kernel, self.layout = kernel, "compiled"
        elif torch.backends.mkldnn.is_available():
            self.layout = f"onednn ({kernel})"
        else:
            return
        self._linears = fitting
        for module in fitting:
            self._pack(module)

    def _pack(self, module: nn.Linear) -> Tensor:
        """The packed form of a module's weights as they are now."""
        weight = module.weight.detach()
        state = (weight.data_ptr(), module.weight._version)
        if module not in self._packed or self._packed[module][0] != state:
            if self._kernel is not None:
                packed = self._kernel.pack(weight)
            else:
                packed = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT_ROWS)
            self._packed[module] = (state, packed)
        return self._packed[module][1]

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model multiplies by packed weights, for as long as this lasts and where it helps.

        Weights that were changed since the last time are packed again.
        """
        still = [m for m in self._linears if _is_cpu_fp32(m.weight)]
        forwards = {m: _forward(m, self._pack(m), self._kernel) for m in still}
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


def _is_cpu_fp32(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def _forward(module: nn.Linear, packed: Tensor, kernel: RowKernel | None) -> Callable[[Tensor], Tensor]:
    weight, bias = module.weight, module.bias
    fewest = FEWEST_ROWS if kernel is None else 1

    # The kernel is given addresses, of which torch.compile does not know that they are in use.
    @torch.compiler.disable
    def forward(rows: Tensor) -> Tensor:
        num_rows = rows.numel() // rows.shape[-1]
        fits = _is_cpu_fp32(rows) and rows.shape[-1] == weight.shape[1]
        if not fits or not fewest <= num_rows <= MOST_ROWS:
            return functional.linear(rows, weight, bias)
        flat = rows.reshape(num_rows, -1)
        if kernel is None:
            out = torch.ops.mkldnn._linear_pointwise(flat, packed, bias, "none", [], "")
        else:
            out = kernel(flat, packed, len(weight))
            out = out if bias is None else out.add_(bias)
        return out.reshape(*rows.shape[:-1], -1)

    return forward
