"""A group's trace as lanes over time: what was generated and read, where, and what went on from what.

Pure data, from the trace alone: the paper's figure and the page draw the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from branchwise.reporting.lane_order import Held, in_order, sharing
from branchwise.reporting.names import short_names
from branchwise.trace import AskRecord, GroupTrace

MOST_LANES = 60
"""Beyond them a picture is higher than a page."""

_GAP_SHARE = 0.015
"""Of the whole time: how far before what goes on from it a text stands that was only read."""


@dataclass(frozen=True)
class Bar:
    """What one ask generated, in ms on the group's clock; `ask` is its number in the trace."""

    lane: int
    start_ms: float
    end_ms: float
    role: str
    text: str
    num_tokens: float
    ask: int


@dataclass(frozen=True)
class Mark:
    """Text of a branch that was read and not generated. `at_ms` is when generating went on from it: a
    trace keeps no time of what was only read, which therefore stands just before that.
    """

    lane: int
    at_ms: float
    verb: Literal["open", "fork", "join"]
    text: str


@dataclass(frozen=True)
class Connector:
    """From the end of what was there to the beginning of what goes on from it, or waited for it."""

    kind: Literal["fork", "join", "wait"]
    source: int
    start_ms: float
    target: int
    end_ms: float


@dataclass(frozen=True)
class Lanes:
    """The picture: labels of lanes from above, all that stands in them, and how many lanes of the trace
    it leaves out.
    """

    labels: tuple[str, ...]
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    connectors: tuple[Connector, ...]
    end_ms: float
    num_left_out: int

    @property
    def roles(self) -> tuple[str, ...]:
        """What the bars were generated for, in the order of asking."""
        return tuple(dict.fromkeys(bar.role for bar in sorted(self.bars, key=lambda bar: bar.ask)))


def lanes_of(trace: GroupTrace, names: Mapping[str, str] | None = None, most: int = MOST_LANES) -> Lanes:
    """The lanes of a trace: a branch each, and each ask that went on from none. An only child goes on in
    its parent's lane, and a join in that of the branch that what it joins has in common, where that is
    free.

    `names` are those of questions, by id; default: Q1, Q2, ... in the order of asking.
    """
    names = names or short_names(dict.fromkeys(q for ask in trace.asks for q in ask.questions))
    held = _held(trace)
    end_ms = max((one.end_ms for one in held), default=0.0) or 1.0
    _place(held, _GAP_SHARE * end_ms)
    owner = sharing(held)
    order = in_order(held, owner)
    kept = {first: number for number, first in enumerate(order[:most])}
    where = {number: kept[first] for number, first in enumerate(owner) if first in kept}
    of_ask = {ask: lane for number, lane in where.items() for ask in held[number].asks}
    return Lanes(
        labels=tuple(_label(trace, held, owner, first, names) for first in kept),
        bars=tuple(_bar(trace.asks[ask], ask, of_ask[ask]) for ask in sorted(of_ask)),
        marks=tuple(
            Mark(where[number], held[number].at_ms, branch.verb, branch.text)
            for number, branch in enumerate(trace.branches)
            if number in where
        ),
        connectors=(*_tree(trace, held, where), *_waits(trace, held, of_ask)),
        end_ms=end_ms,
        num_left_out=len(order) - len(kept),
    )


def _start_ms(ask: AskRecord) -> float:
    return 1000 * max(0.0, ask.start_s)


def _end_ms(ask: AskRecord) -> float:
    return max(_start_ms(ask), 1000 * ask.end_s)


def _bar(ask: AskRecord, number: int, lane: int) -> Bar:
    return Bar(lane, _start_ms(ask), _end_ms(ask), ask.role, ask.raw, ask.tokens.generated, number)


def _held(trace: GroupTrace) -> list[Held]:
    """Branches, then asks that went on from none (or from one that was busy), not placed yet."""
    held = [Held(branch.parents) for branch in trace.branches]
    for number in sorted(range(len(trace.asks)), key=lambda number: _start_ms(trace.asks[number])):
        ask = trace.asks[number]
        one = None if ask.branch is None else held[ask.branch]
        if one is None or (one.asks and _start_ms(ask) < one.end_ms):
            one = Held(())
            held.append(one)
        one.asks.append(number)
        one.starts_ms.append(_start_ms(ask))
        one.ends_ms.append(_end_ms(ask))
    return held


def _place(held: Sequence[Held], gap_ms: float) -> None:
    """Say when each one begins: with its first ask, and before what goes on from it, but not before the
    end of what it goes on from.
    """
    children: list[list[Held]] = [[] for _ in held]
    known_ms: list[float] = []
    for one in held:
        before = [max(known_ms[p], *held[p].ends_ms, 0.0) for p in one.parents]
        known_ms.append(max(before, default=0.0))
        for parent in one.parents:
            children[parent].append(one)
    for number in reversed(range(len(held))):
        one, further = held[number], [child.at_ms for child in children[number]]
        latest = min([*one.starts_ms, *further], default=known_ms[number])
        wanted = min([*one.starts_ms, *(at - gap_ms for at in further)], default=latest)
        one.at_ms = min(latest, max(wanted, known_ms[number]))


def _tree(trace: GroupTrace, held: Sequence[Held], where: Mapping[int, int]) -> Iterator[Connector]:
    """From parents to branches, where both have lanes."""
    for number, branch in enumerate(trace.branches):
        at_ms = held[number].at_ms
        for parent in branch.parents:
            if branch.verb != "open" and number in where and parent in where:
                points = [held[parent].at_ms, *held[parent].ends_ms]
                left = max(point for point in points if point <= at_ms)
                yield Connector(branch.verb, where[parent], left, where[number], at_ms)


def _waits(trace: GroupTrace, held: Sequence[Held], of_ask: Mapping[int, int]) -> Iterator[Connector]:
    """From asks to those that waited for them without going on from them."""
    holder = {ask: number for number, one in enumerate(held) for ask in one.asks}
    seen: list[set[int]] = []
    for number, one in enumerate(held):
        seen.append({number}.union(*(seen[parent] for parent in one.parents)))
    for number, ask in enumerate(trace.asks):
        for earlier in ask.after:
            if number in of_ask and earlier in of_ask and holder[earlier] not in seen[holder[number]]:
                start_ms = _start_ms(ask)
                left = min(_end_ms(trace.asks[earlier]), start_ms)
                yield Connector("wait", of_ask[earlier], left, of_ask[number], start_ms)


def _label(
    trace: GroupTrace, held: Sequence[Held], owner: Sequence[int], first: int, names: Mapping[str, str]
) -> str:
    """What stands beside a lane: the questions that were asked there, or, where these are those of the
    lane that it was forked from, the text that the branch began with.
    """

    def questions(lane: int) -> list[str]:
        asks = (a for number, one in enumerate(held) if owner[number] == lane for a in one.asks)
        return list(dict.fromkeys(q for ask in sorted(asks) for q in trace.asks[ask].questions))

    own = questions(first)
    branch = trace.branches[first] if first < len(trace.branches) else None
    of_parents = [questions(owner[parent]) for parent in held[first].parents]
    if own and own not in of_parents:
        return ", ".join(names.get(question, question) for question in own)
    if branch is not None and branch.verb == "open":
        return "prompt"
    words = [] if branch is None else [in_a_line(branch.text).lstrip("# ")]
    words += [trace.asks[ask].role for ask in held[first].asks[:1]]
    words += [] if branch is None else [branch.verb]
    return next(filter(None, words), "")


def in_a_line(text: str) -> str:
    """A text on one line, with a sign in place of what cannot be printed."""
    line = " ".join(text.split())
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in line)


def caption_of(lanes: Lanes, facts: str = "") -> str:
    """What one has to know to read the picture: of its signs those that it holds."""
    what = "a branch" if lanes.marks else "an ask"
    lines = [f"A lane {what}; bars: what was generated, with its first words."]
    if lanes.marks:
        lines.append(
            "Marks: text that was only read; a trace keeps no time of it, so it stands just before what "
            "goes on from it."
        )
    if lanes.num_left_out:
        total = len(lanes.labels) + lanes.num_left_out
        lines.append(f"Left out: the last {lanes.num_left_out} of {total} lanes.")
    return " ".join([*lines, *filter(None, [facts])])
