"""Matrix products in fp32 for one row or thousands, from `rows.c`; and gated units, from `layers.c`.

A decoding step multiplies every weight matrix by one row a branch. The weights are read where they lie:
no copy of them is made, so none has to follow them.

Shape legend: M rows, K columns of a row, N outputs.
"""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from branchwise.decoding.pages import SCRATCH


class RowProduct:
    """`functional.linear` in fp32 on the CPU. A row's result is the same to the last bit whatever else is
    computed, and with any number of threads.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._multiply = library.multiply
        self._multiply.argtypes = [pointer, pointer, pointer, size, size, size, pointer, ctypes.c_int]
        self._multiply.restype = None

    def of(self, weight_NK: Tensor, bias_N: Tensor | None) -> Callable[[Tensor], Tensor]:
        """A function of rows (..., K) that gives (..., N): rows times weights (N, K), plus a bias. All
        fp32 on the CPU; weights and bias contiguous, and where they are now for as long as it is used.
        """
        multiply, get_num_threads = self._multiply, torch.get_num_threads
        num_outputs, depth = weight_NK.shape
        weight, bias = weight_NK.data_ptr(), None if bias_N is None else bias_N.data_ptr()

        def product(rows: Tensor) -> Tensor:
            rows = rows.contiguous()
            out = SCRATCH.empty(*rows.shape[:-1], num_outputs)
            num_rows = rows.numel() // depth
            multiply(
                rows.data_ptr(),
                weight,
                bias,
                num_rows,
                depth,
                num_outputs,
                out.data_ptr(),
                get_num_threads(),
            )
            return out

        # They are read as long as the function is there.
        product.keeps = weight_NK, bias_N  # type: ignore[attr-defined]
        return product


class GatedProduct:
    """(silu(rows @ gate.T) * (rows @ up.T)) @ down.T in one call, each product as `RowProduct`'s."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._gated = library.gated
        self._gated.argtypes = [*[pointer] * 4, *[size] * 4, pointer, pointer, ctypes.c_int]
        self._gated.restype = None
        self._rows_at_once = library.rows_at_once()

    def of(self, gate_IK: Tensor, up_IK: Tensor, down_NI: Tensor) -> Callable[[Tensor], Tensor]:
        """A function of rows (..., K) that gives (..., N); conditions as in `RowProduct.of`."""
        gated, get_num_threads, at_once = self._gated, torch.get_num_threads, self._rows_at_once
        (inner, depth), num_outputs = gate_IK.shape, len(down_NI)
        weights = gate_IK.data_ptr(), up_IK.data_ptr(), down_NI.data_ptr()

        def product(rows: Tensor) -> Tensor:
            rows = rows.contiguous()
            num_rows = rows.numel() // depth
            out = SCRATCH.empty(*rows.shape[:-1], num_outputs)
            room = SCRATCH.empty(2 * min(num_rows, at_once) * inner)
            sizes = num_rows, depth, inner, num_outputs
            gated(rows.data_ptr(), *weights, *sizes, room.data_ptr(), out.data_ptr(), get_num_threads())
            return out

        product.keeps = gate_IK, up_IK, down_NI  # type: ignore[attr-defined]
        return product
