"""What each ask waited for, seen from what the strategy's tasks awaited and read.

A strategy cannot forget to say it. Three things are seen: a task that awaited an ask, or read its reply,
knows it, and so do the tasks that it starts afterwards (a context variable); a branch knows the asks
whose tokens it holds; and an ask that begins right after others have ended, without knowing any of them,
was started by these (nothing else wakes a strategy). The last one is careful: an ask never counts as
earlier than what had in fact ended when it began.
"""

from collections.abc import Iterable
from contextvars import ContextVar

_NOTHING: tuple["Waits | None", frozenset[int]] = (None, frozenset())
_KNOWN: ContextVar[tuple["Waits | None", frozenset[int]]] = ContextVar("known", default=_NOTHING)
"""Whose asks the current task knows, and which. One variable for all groups: each runs in a task."""


class Waits:
    """The waits of one group. Asks are numbers, in the order of asking."""

    def __init__(self) -> None:
        self.after: dict[int, tuple[int, ...]] = {}
        self._ended: dict[int, int] = {}
        # Bit i of a number's mask: it waited for ask i, directly or not.
        self._masks: dict[int, int] = {}

    def heard(self, index: int) -> None:
        """The current task knows the reply to an ask."""
        _KNOWN.set((self, self._known() | {index}))

    def ended(self, index: int, moment: int) -> None:
        """An ask has ended; `moment` is the same for those that ended together, and never falls."""
        self._ended[index] = moment
        self.heard(index)

    def begins(self, index: int, stated: Iterable[int]) -> tuple[int, ...]:
        """What a new ask of the current task waited for: direct waits, without those that these had
        waited for. `stated` are known beside what was seen.
        """
        waited = {number for number in (*self._known(), *stated) if number != index}
        last = max(self._ended.values(), default=None)
        woke = {number for number, moment in self._ended.items() if moment == last}
        if woke and not self._mask(waited) & _bits(woke):
            waited |= woke
        implied = 0
        for number in waited:
            implied |= self._masks[number]
        self._masks[index] = self._mask(waited)
        self.after[index] = tuple(sorted(n for n in waited if not implied >> n & 1))
        return self.after[index]

    def _known(self) -> frozenset[int]:
        owner, known = _KNOWN.get()
        return known if owner is self else frozenset()

    def _mask(self, numbers: Iterable[int]) -> int:
        """These asks and all that they waited for."""
        mask = 0
        for number in numbers:
            mask |= self._masks[number] | 1 << number
        return mask


def _bits(numbers: Iterable[int]) -> int:
    return sum(1 << number for number in numbers)
