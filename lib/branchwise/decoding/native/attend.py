"""The attention of a step over the tree in one call a layer, from `attend.c`.

Shape legend: A query heads, H key-value heads, N query tokens of a step, S key slots, D head width, V
that of values; of a plan, E entries (a row of a segment).
"""

import ctypes
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from branchwise.decoding.pages import SCRATCH

_POINTER, _SIZE, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_ITEM_INTS = 6


class Lists(NamedTuple):
    """Segments: keys that the same rows see, each row a run of them. numpy arrays.

    `row_E`, `low_E`, `high_E` (int32): a row, and the first and last + 1 of the segment's keys that it
    sees. `entry_start` (int64): where each segment's entries begin, and the end of all. `keys` (int32):
    slots, each segment's from `key_start` (int64) on, `num_keys` (int32) of them.
    """

    num_rows: int
    row_E: np.ndarray
    low_E: np.ndarray
    high_E: np.ndarray
    entry_start: np.ndarray
    keys: np.ndarray
    key_start: np.ndarray
    num_keys: np.ndarray


class _Plan(ctypes.Structure):
    _fields_ = [
        *((name, _SIZE) for name in ("num_rows", "num_segments")),
        *((name, _POINTER) for name in ("rows", "lows", "highs", "entry_start")),
        *((name, _POINTER) for name in ("keys", "key_start", "num_keys")),
        *((name, _SIZE) for name in ("num_items", "num_parts")),
        *((name, _POINTER) for name in ("items", "part_start", "parts")),
    ]


class _Call(ctypes.Structure):
    _fields_ = [
        *((name, _POINTER) for name in ("query", "keys", "values", "out", "parts", "logs")),
        *((name, _SIZE) for name in ("query_head", "query_row", "key_head", "key_row")),
        *((name, _SIZE) for name in ("value_head", "value_row", "num_kv", "heads_per_kv")),
        *((name, _SIZE) for name in ("width", "value_width")),
        *((name, _FLOAT) for name in ("scale", "cap")),
    ]


class Arranged(NamedTuple):
    """Segments, split into what one thread does at a time; good for every layer of a step."""

    plan: _Plan
    kept: tuple
    num_parts: int


class Attend:
    """Attention after segments, fp32 on the CPU."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._attend, self._arrange = library.attend, library.arrange
        self._attend.argtypes = [_POINTER, _POINTER, ctypes.c_int]
        self._arrange.argtypes = [_POINTER, _SIZE]
        self._attend.restype = self._arrange.restype = None
        self._most_group, self._most_width = library.most_group(), library.most_width()
        self._lanes, self._run = library.lanes(), library.keys_of_a_run()
        self._queries = library.queries_of_a_problem()

    def why_not(self, heads_per_kv: int, width: int) -> str | None:
        """Why heads of this kind cannot be attended to; None where they can."""
        if heads_per_kv > self._most_group:
            return f"{heads_per_kv} query heads share a key head, over {self._most_group}"
        if width > self._most_width:
            return f"heads are {width} wide, over {self._most_width}"
        return None

    def arranged(self, lists: Lists, heads_per_kv: int) -> Arranged:
        """Segments split into items, for models with so many query heads to a key head."""
        together = max(1, self._queries // heads_per_kv)
        entries = np.diff(lists.entry_start)
        runs = np.where(entries <= together, -(-lists.num_keys // self._run), 1)
        most_items = int((-(-entries // together) * runs).sum())
        most_parts = int((entries * runs).sum())
        items = np.empty((most_items, _ITEM_INTS), dtype=np.int32)
        part_start = np.empty(lists.num_rows + 1, dtype=np.int32)
        parts = np.empty(most_parts, dtype=np.int32)
        given = [array.ctypes.data for array in lists[1:]]
        plan = _Plan(lists.num_rows, len(entries), *given, 0, 0)
        plan.items, plan.part_start, plan.parts = (a.ctypes.data for a in (items, part_start, parts))
        self._arrange(ctypes.byref(plan), heads_per_kv)
        return Arranged(plan, (lists, items, part_start, parts), plan.num_parts)

    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        arranged: Arranged,
        scale: float,
        cap: float | None,
    ) -> Tensor:
        """Query (1, A, N, D) over key (1, H, S, D) and value (1, H, S, V): (1, N, A, V). Rows that see
        nothing give zero.
        """
        query, key, value = (
            one if one.stride(-1) == 1 else one.contiguous() for one in (query, key, value)
        )
        _, num_heads, num_rows, width = query.shape
        num_kv, value_width = key.shape[1], value.shape[-1]
        out = SCRATCH.empty(1, num_rows, num_heads, value_width)
        # Room for the parts, and behind them for their log-sum-exps.
        size, padded = arranged.num_parts * num_heads, -(-value_width // self._lanes) * self._lanes
        room = SCRATCH.empty(size * (padded + 1))
        tensors = (one.data_ptr() for one in (query, key, value, out, room))
        strides = (stride for one in (query, key, value) for stride in one.stride()[1:3])
        call = _Call(
            *tensors,
            room.data_ptr() + 4 * size * padded,
            *strides,
            num_kv,
            num_heads // num_kv,
            width,
            value_width,
            scale,
            cap or 0.0,
        )
        self._attend(ctypes.byref(arranged.plan), ctypes.byref(call), torch.get_num_threads())
        return out
