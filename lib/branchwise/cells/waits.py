"""What each ask waited for, seen from what the strategy's tasks awaited and read.

A strategy cannot forget to say it. Three things are seen: a task that awaited an ask, or read its reply,
knows it, and so do the tasks that it starts afterwards (a context variable); a branch knows the asks
whose tokens it holds; and an ask that begins right after others have ended, without knowing any of them,
was started by these (nothing else wakes a strategy). The last one is careful: an ask never counts as
earlier than what had in fact ended when it began.
"""

from collections.abc import Iterable
from contextvars import ContextVar

from branchwise.trace import closure


class Waits:
    """The waits of one group. Asks are numbers, in the order of asking."""

    def __init__(self) -> None:
        self.after: dict[int, tuple[int, ...]] = {}
        self._ended: dict[int, int] = {}
        self._known: ContextVar[frozenset[int]] = ContextVar("known", default=frozenset())

    def heard(self, index: int) -> None:
        """The current task knows the reply to an ask."""
        self._known.set(self._known.get() | {index})

    def ended(self, index: int, moment: int) -> None:
        """An ask has ended; `moment` is the same for those that ended together, and never falls."""
        self._ended[index] = moment
        self.heard(index)

    def begins(self, index: int, stated: Iterable[int]) -> tuple[int, ...]:
        """What a new ask of the current task waited for: direct waits, without those that these had
        waited for. `stated` are known beside what was seen.
        """
        waited = {number for number in (*self._known.get(), *stated) if number != index}
        last = max(self._ended.values(), default=None)
        woke = {number for number, moment in self._ended.items() if moment == last}
        if woke and not woke & closure(self.after, waited):
            waited |= woke
        implied = {w for number in waited for w in closure(self.after, self.after[number])}
        self.after[index] = tuple(sorted(waited - implied))
        return self.after[index]
