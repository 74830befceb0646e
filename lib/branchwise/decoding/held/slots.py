"""Which cache slots are free: runs of them for prompts, single ones for new tokens."""

from bisect import insort
from collections.abc import Sequence

FEWEST_HOLES = 1024
"""Holes below which moving tokens together is not worth it."""


class SlotAllocator:
    """Numbers of cache slots.

    Several slots at once come as one run where a free run is long enough (attention then reads a
    prompt's keys without copying them); single ones fill the lowest hole, so the used part stays
    short. Free runs never touch each other or the end.
    """

    def __init__(self) -> None:
        self._free: list[tuple[int, int]] = []
        self._num_free = 0
        self.high = 0

    def take(self, count: int) -> list[int]:
        """`count` slots that nobody else has, one run of them."""
        for index, (start, stop) in enumerate(self._free):
            if stop - start >= count:
                self._num_free -= count
                if stop - start == count:
                    del self._free[index]
                else:
                    self._free[index] = (start + count, stop)
                return list(range(start, start + count))
        start = self.high
        self.high += count
        return list(range(start, self.high))

    def give_back(self, slots: Sequence[int]) -> None:
        """Free slots again; free ones at the top shorten the used part."""
        for run in runs_of(sorted(slots)):
            insort(self._free, run)
            self._num_free += run[1] - run[0]
        merged: list[tuple[int, int]] = []
        for start, stop in self._free:
            if merged and merged[-1][1] == start:
                merged[-1] = (merged[-1][0], stop)
            else:
                merged.append((start, stop))
        if merged and merged[-1][1] == self.high:
            start, stop = merged.pop()
            self.high = start
            self._num_free -= stop - start
        self._free = merged

    @property
    def num_used(self) -> int:
        """Slots that hold a token."""
        return self.high - self._num_free

    @property
    def is_sparse(self) -> bool:
        """Whether more of the used part is holes than tokens, and enough of it to be worth moving."""
        return self._num_free > self.num_used and self._num_free >= FEWEST_HOLES

    def compact(self) -> None:
        """All tokens now lie in the first slots (whoever calls this has moved them there)."""
        self.high = self.num_used
        self._free, self._num_free = [], 0


def runs_of(slots: Sequence[int]) -> list[tuple[int, int]]:
    """Maximal runs (first, last + 1) of consecutive numbers, in the order given."""
    runs: list[tuple[int, int]] = []
    for slot in slots:
        if runs and runs[-1][1] == slot:
            runs[-1] = (runs[-1][0], slot + 1)
        else:
            runs.append((slot, slot + 1))
    return runs
