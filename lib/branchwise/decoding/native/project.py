"""A layer's queries, keys and values in one call, from `layers.c`.

Shape legend: A query heads, H key-value heads, N rows, K columns of a row, D head width.
"""

import ctypes
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from branchwise.decoding.pages import SCRATCH

_POINTER, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_float


class Projection(NamedTuple):
    """Weights (heads * D, K), biases (heads * D) or None, and weights of a norm of each head (D) or None;
    fp32 on the CPU, contiguous.
    """

    weight: Tensor
    bias: Tensor | None
    norm: Tensor | None


class _Projection(ctypes.Structure):
    _fields_ = [*((name, _POINTER) for name in ("w", "bias", "norm", "out")), ("heads", _SIZE)]


class Project:
    """Products as `RowProduct`'s, norms of heads where there are any, and positions (RoPE)."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._project = library.project
        self._project.argtypes = [*[_POINTER] * 4, *[_SIZE] * 3, _FLOAT, _FLOAT, ctypes.c_int]
        self._project.restype = None

    def of(
        self, of_qkv: tuple[Projection, Projection, Projection], width: int, eps: float, offset: float
    ) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """A function of rows (1, N, K) and the cosines and sines of their positions (1, N, D) that gives
        queries (1, A, N, D), keys and values (1, H, N, D), as views of rows after each other.
        """
        project, get_num_threads = self._project, torch.get_num_threads
        depth = of_qkv[0].weight.shape[1]
        heads = [one.weight.shape[0] // width for one in of_qkv]
        given = [[None if part is None else part.data_ptr() for part in one] for one in of_qkv]

        def projected(rows: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            rows, cos, sin = rows.contiguous(), cos.contiguous(), sin.contiguous()
            num_rows = rows.shape[1]
            query, key, value = (SCRATCH.empty(1, num_rows, count, width) for count in heads)
            outs = query.data_ptr(), key.data_ptr(), value.data_ptr()
            parts = (_Projection * 3)(
                *(_Projection(*one, out, n) for one, out, n in zip(given, outs, heads, strict=True))
            )
            sizes = num_rows, depth, width
            at = rows.data_ptr(), cos.data_ptr(), sin.data_ptr()
            project(*at, ctypes.byref(parts), *sizes, eps, offset, get_num_threads())
            return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

        projected.keeps = of_qkv  # type: ignore[attr-defined]
        return projected
