"""How many threads a forward pass is worth: all that torch has, or one.

A step of few rows is bound by memory, which one thread may read as fast as two; and where another process
has one of the processor's cores, every one of a step's many short parallel regions waits until that core
is given back. So both are tried, step by step, and what was faster lately is used. Only for passes whose
result does not depend on the number of threads.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch

CLASSES = 8, 32, 128
"""Passes of up to so many rows are judged together; all larger ones, too."""
ALIKE = 12
"""Rows up to which a pass takes as long as one row: it is bound by reading the weights."""
FIRST_TRIES = 2
"""Passes with each number of threads before one is preferred."""
SOONEST, LATEST = 8, 64
"""Passes between two tries of the number that is not preferred: more and more of them."""
WORSE, SLOW_PASSES = 1.5, 2
"""So many passes in a row that take so many times what they took lately call for a try at once."""


class _Class:
    """What passes of about as many rows took lately, in seconds a row, by threads."""

    def __init__(self, counts: tuple[int, ...]) -> None:
        self.recent: dict[int, list[float]] = {count: [] for count in counts}
        self.taken = dict.fromkeys(counts, 0)
        self._preferred = counts[0]
        self._wait, self._since, self._slow = SOONEST, 0, 0

    def choice(self) -> int:
        """The number of threads of the next pass."""
        for count, times in self.recent.items():
            if len(times) < FIRST_TRIES:
                return count
        if self._since < self._wait and self._slow < SLOW_PASSES:
            return self._preferred
        return next(count for count in self.recent if count != self._preferred)

    def note(self, count: int, seconds: float) -> None:
        """A pass with so many threads took so long, for each of its rows."""
        self.taken[count] += 1
        times = self.recent[count]
        if count == self._preferred:
            self._since += 1
            is_slow = bool(times) and seconds > WORSE * median(times)
            self._slow = self._slow + 1 if is_slow else 0
        else:
            self._since, self._slow, self._wait = 0, 0, min(2 * self._wait, LATEST)
            now = self.recent[self._preferred]
            if now and seconds < median(now):
                # What it took long ago says nothing any more.
                times.clear()
        times.append(seconds)
        del times[:-3]
        if all(self.recent.values()):
            best = min(self.recent, key=lambda one: median(self.recent[one]))
            if best != self._preferred:
                self._preferred, self._since, self._slow, self._wait = best, 0, 0, SOONEST


class Threads:
    """The number of threads of each pass; `taken` counts them. Does nothing where torch has one, or if
    not `adapts`.
    """

    def __init__(self, adapts: bool) -> None:
        self._adapts = adapts
        self._classes: dict[tuple[int, int], _Class] = {}

    @property
    def taken(self) -> dict[str, int]:
        """Threads -> passes with so many, where there was a choice."""
        found: dict[str, int] = {}
        for one in self._classes.values():
            for count, passes in one.taken.items():
                found[str(count)] = found.get(str(count), 0) + passes
        return found

    @contextmanager
    def chosen(self, num_rows: int) -> Iterator[None]:
        """A pass of so many rows, with the threads that are best for it; torch has its own afterwards."""
        most = torch.get_num_threads()
        if not self._adapts or most == 1:
            yield
            return
        size = next((at for at, rows in enumerate(CLASSES) if num_rows <= rows), len(CLASSES))
        one = self._classes.setdefault((most, size), _Class((most, 1)))
        count = one.choice()
        torch.set_num_threads(count)
        started = time.perf_counter()
        try:
            yield
        finally:
            torch.set_num_threads(most)
        one.note(count, (time.perf_counter() - started) / max(num_rows, ALIKE))
