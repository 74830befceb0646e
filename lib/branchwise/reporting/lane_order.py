"""Which branches share a lane, and in which order lanes stand."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf


@dataclass(eq=False)
class Held:
    """A branch, or an ask that went on from none: its parents (earlier ones), the asks that went on from
    it by their numbers, when each began and ended, and when it begins itself. Times in ms.
    """

    parents: tuple[int, ...]
    asks: list[int] = field(default_factory=list)
    starts_ms: list[float] = field(default_factory=list)
    ends_ms: list[float] = field(default_factory=list)
    at_ms: float = 0.0

    @property
    def end_ms(self) -> float:
        """When its last ask ended; without any, when it begins."""
        return max(self.ends_ms, default=self.at_ms)


def sharing(held: Sequence[Held]) -> list[int]:
    """The first branch of each one's lane: itself, but that of its parent where nothing else goes on from
    that, and that of what its several parents have in common where it joins them; each where nothing else
    is there at that time.
    """
    children = Counter(parent for one in held for parent in one.parents)
    owner: list[int] = []
    members: dict[int, list[Held]] = {}
    above: list[set[int]] = []
    for number, one in enumerate(held):
        above.append({number}.union(*(above[parent] for parent in one.parents)))
        common = set.intersection(*(above[p] for p in one.parents)) if one.parents else set()
        if len(one.parents) == 1 and children[one.parents[0]] > 1:
            common = set()
        home = owner[max(common)] if common else number
        if not all(_apart(one, other) for other in members.get(home, ())):
            home = number
        owner.append(home)
        members.setdefault(home, []).append(one)
    return owner


def _apart(one: Held, other: Held) -> bool:
    """Whether one is over before the other begins."""
    first, second = sorted((one, other), key=lambda some: some.at_ms)
    return first.end_ms <= second.at_ms and first.at_ms < second.at_ms


def in_order(held: Sequence[Held], owner: Sequence[int]) -> list[int]:
    """Lanes, by their first branches, from above: each below the one that it goes on from (of several the
    last), all others in the order of asking.
    """
    first_ask = [min(one.asks, default=inf) for one in held]
    for number in reversed(range(len(held))):
        for parent in held[number].parents:
            first_ask[parent] = min(first_ask[parent], first_ask[number])
    roots: list[int] = []
    below: dict[int, list[int]] = {}
    for number, one in enumerate(held):
        if owner[number] == number:
            (below.setdefault(owner[one.parents[-1]], []) if one.parents else roots).append(number)
    order: list[int] = []
    left = sorted(roots, key=lambda number: first_ask[number])[::-1]
    while left:
        order.append(left.pop())
        left += reversed(below.get(order[-1], []))
    return order
