"""A step's attention as segments: keys that the same rows see, each row a run of them.

Every key that a row sees is in exactly one of its segments, and each row has one of its own: what only
its block sees, its own key last.

Shape legend: N query tokens of a step, S key slots; of the segments, E entries (a row of a segment).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from branchwise.decoding.attention.plan import blocks_of, seen_together
from branchwise.decoding.held.tree import Pending
from branchwise.decoding.native.attend import Lists

_ROOM = 64
"""Keys for which a row's own segment has room, so that it can grow."""


class _Segment(NamedTuple):
    """Rows that see keys: all of them, or those of index below each row's `high`."""

    rows: Sequence[int]
    slots: Sequence[int]
    highs: Sequence[int]


class Segments:
    """The segments of a step, and of those after it for as long as each row is its node's next token."""

    def __init__(self, pending: Pending) -> None:
        """Of a step whose tokens have their slots already."""
        blocks = blocks_of(pending)
        sets = seen_together(blocks)
        own: list[_Segment] = []
        for number, block in enumerate(blocks):
            before = sets.pop((number,), [])
            highs = range(len(before) + 1, len(before) + block.num_tokens + 1)
            own.append(_Segment(block.rows, [*before, *block.new_slots], highs))
        shared = []
        for numbers, slots in sets.items():
            rows = [row for number in numbers for row in blocks[number].rows]
            shared.append(_Segment(rows, slots, [len(slots)] * len(rows)))
        self.num_rows = len(pending.tokens)
        self._can_grow = len(own) == self.num_rows
        self._room = _ROOM if self._can_grow else 0
        self.lists = self._listed([*own, *shared], len(own))
        # The segments of rows of their own come first, one entry each.
        self._own = slice(0, len(own))

    def _listed(self, segments: Sequence[_Segment], num_own: int) -> Lists:
        sizes = [len(segment.slots) for segment in segments]
        rooms = [size + (self._room if at < num_own else 0) for at, size in enumerate(sizes)]
        starts = np.concatenate([[0], np.cumsum(rooms)]).astype(np.int64)
        keys = np.zeros(starts[-1], dtype=np.int32)
        for start, size, segment in zip(starts, sizes, segments, strict=False):
            keys[start : start + size] = segment.slots
        row_E = np.array([row for segment in segments for row in segment.rows], dtype=np.int32)
        high_E = np.array([high for segment in segments for high in segment.highs], dtype=np.int32)
        counts = [len(segment.rows) for segment in segments]
        return Lists(
            self.num_rows,
            row_E,
            np.zeros_like(row_E),
            high_E,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            keys,
            starts[:-1],
            np.array(sizes, dtype=np.int32),
        )

    def grow(self, slots: Sequence[int]) -> bool:
        """Go on to the next step, in which every row is the next token of its node, at these slots.
        False where there is no room: then make them anew.
        """
        if not self._room:
            return False
        self._room -= 1
        lists, own = self.lists, self._own
        lists.keys[lists.key_start[own] + lists.num_keys[own]] = slots
        lists.num_keys[own] += 1
        lists.high_E[own] += 1
        return True

    def within(self, window: int, position_N: Tensor, position_S: Tensor) -> Lists:
        """The segments, narrowed to a sliding window of logical positions, int64 (N,) and (S,)."""
        lists = self.lists
        row_positions, slot_positions = position_N.numpy(), position_S.numpy()
        keys, low_E = lists.keys.copy(), lists.low_E.copy()
        for at, (start, size) in enumerate(zip(lists.key_start, lists.num_keys, strict=True)):
            run = keys[start : start + size]
            # In the order of positions, those within are a run. A row's own tokens are the last already.
            run[:] = run[np.argsort(slot_positions[run], kind="stable")]
            entries = slice(lists.entry_start[at], lists.entry_start[at + 1])
            oldest = row_positions[lists.row_E[entries]] - window
            low_E[entries] = np.searchsorted(slot_positions[run], oldest, side="right")
        return lists._replace(keys=keys, low_E=low_E)
