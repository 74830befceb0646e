"""Weight matrices in the layout that a CPU multiplies fastest by a few rows.

A decoding step has one row a branch. Plain matrix products reach a fraction of the memory's speed for
2 to 32 rows. Two layouts do better: the project's own kernel's, where the machine has a C compiler
(see `branchwise.decoding.products.row_kernel`), and oneDNN's.

A packed matrix is a copy, so it has to be noticed when the original changes. What torch counts (writes
in place, another tensor) is watched; writes past its counting (through `.data`, as adapters are merged)
are found by comparing one weight in `SAMPLED`: whole rows, columns or matrices of that size cannot
change unseen.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from branchwise.decoding.products.row_kernel import RowKernel, row_kernel

FEWEST_ROWS, MOST_ROWS = 2, 64
"""Row counts for which oneDNN's layout is used; the project's own is used from one row on, so that a
row's result is the same whatever else is in the step."""
SAMPLED = 257, 263
"""One weight in so many is compared, the first that does not divide the width of a matrix: primes, so
that every column comes up."""
_HINT_ROWS = 8


class _Packed(NamedTuple):
    """A packed matrix, with what tells whether the original is still the same."""

    address: int
    version: int
    sample: Tensor
    packed: Tensor


class PackedWeights:
    """The packed weights of a model, made once; they take as much memory again as the model.

    Does nothing without a model, off the CPU, or for other dtypes than fp32. `layout` says what is
    used: `compiled`, `onednn` with the reason why not the former, or `plain`. `compiles`: the model goes
    through torch.compile.
    """

    def __init__(self, model: nn.Module | None, compiles: bool = False) -> None:
        self._packed: dict[nn.Linear, _Packed] = {}
        self._linears: list[nn.Linear] = []
        self._kernel: RowKernel | None = None
        self._compiles = compiles
        self.layout = "plain"
        modules = () if model is None else model.modules()
        fitting = [module for module in modules if _is_plain(module)]
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
        address, version = weight.data_ptr(), module.weight._version
        step = next(step for step in SAMPLED if weight.shape[1] % step or step == SAMPLED[-1])
        sample = weight.flatten()[::step].clone()
        had = self._packed.get(module)
        # Compared as bits, so that a NaN is equal to itself.
        if had is None or not (
            (address, version) == (had.address, had.version)
            and torch.equal(sample.view(torch.int32), had.sample.view(torch.int32))
        ):
            if self._kernel is not None:
                packed = self._kernel.pack(weight)
            else:
                packed = torch.ops.mkldnn._reorder_linear_weight(weight, _HINT_ROWS)
            had = self._packed[module] = _Packed(address, version, sample, packed)
        return had.packed

    def refresh(self) -> None:
        """Pack everything anew: for writes through `.data` to a few weights, which nothing shows."""
        self._packed.clear()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model multiplies by packed weights, for as long as this lasts and where it helps.

        Weights that were changed since the last time are packed again; a module that computes in a way
        of its own by now is left alone.
        """
        still = [module for module in self._linears if _is_plain(module)]
        forwards = {module: _forward(module, self._pack(module), self._kernel) for module in still}
        if self._compiles:
            # The kernel is given addresses, of which torch.compile does not know that they are in use.
            forwards = {m: torch.compiler.disable(forward) for m, forward in forwards.items()}
        with replaced_forwards(forwards):
            yield


@contextmanager
def replaced_forwards(forwards: dict) -> Iterator[None]:
    """Modules compute by the given functions for as long as this lasts; what was there comes back."""
    before = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, own in before.items():
            if own is not None:
                module.forward = own
            elif "forward" in vars(module):
                del module.forward


def _is_plain(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a module multiplies by a plain matrix of its own, fp32 on the CPU, and does only that.

    Not subclasses of Linear, replaced functions, or weights that are a subclass's (quantised) or made
    anew at every call (a norm of weights): what they compute is their own.
    """
    if type(module) is not nn.Linear or "forward" in vars(module) or module._forward_pre_hooks:
        return False
    weight = module._parameters.get("weight")
    if type(weight) is not nn.Parameter or weight.layout != torch.strided:
        return False
    return weight.is_cpu and weight.dtype == torch.float32


def _forward(module: nn.Linear, packed: Tensor, kernel: RowKernel | None) -> Callable[[Tensor], Tensor]:
    weight, bias = module.weight, module.bias
    num_outputs, depth = weight.shape
    fewest = FEWEST_ROWS if kernel is None else 1

    def forward(rows: Tensor) -> Tensor:
        num_rows = rows.numel() // rows.shape[-1]
        fits = rows.dtype == torch.float32 and rows.is_cpu and rows.shape[-1] == depth
        if not fits or not fewest <= num_rows <= MOST_ROWS:
            return functional.linear(rows, weight, bias)
        flat = rows.reshape(num_rows, depth)
        if kernel is None:
            out = torch.ops.mkldnn._linear_pointwise(flat, packed, bias, "none", [], "")
        else:
            out = kernel(flat, packed, num_outputs)
            out = out if bias is None else out.add_(bias)
        return out.view(*rows.shape[:-1], num_outputs)

    return forward
