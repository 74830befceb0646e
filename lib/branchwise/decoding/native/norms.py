"""Norms by the root mean square, from `norms.c`."""

import ctypes
from collections.abc import Callable

import torch
from torch import Tensor

from branchwise.decoding.pages import SCRATCH


class Norm:
    """Rows over their root mean square, times weights, in one call; fp32 on the CPU."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size, number = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float
        self._norm = library.norm
        self._norm.argtypes = [pointer, pointer, size, size, number, number, pointer, ctypes.c_int]
        self._norm.restype = None

    def of(self, weight_K: Tensor, eps: float, offset: float) -> Callable[[Tensor], Tensor]:
        """A function of contiguous rows (..., K): rows / sqrt(mean(rows^2) + eps) * (weight + offset)."""
        norm, get_num_threads = self._norm, torch.get_num_threads
        width, weight = len(weight_K), weight_K.data_ptr()

        def normed(rows: Tensor) -> Tensor:
            out = SCRATCH.empty(*rows.shape)
            num_rows = rows.numel() // width
            norm(rows.data_ptr(), weight, num_rows, width, eps, offset, out.data_ptr(), get_num_threads())
            return out

        normed.keeps = weight_K  # type: ignore[attr-defined]
        return normed
