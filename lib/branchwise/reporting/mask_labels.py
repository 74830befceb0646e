"""Which labels stand beside the rows of a mask's picture, and where."""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from branchwise.masks import MaskRecord
from branchwise.reporting.fitting import wrapped
from branchwise.reporting.mask_rows import Part

LABEL_PT, LINE_PT = 5.0, 6.3
MOST_LABEL_IN = 1.0
MOST_LABELS_IN = 3.0
"""Height of all labels, at most: some more than that of the matrix."""

_NUMBER = re.compile(r"(?<= )\d+$")


class Mark(NamedTuple):
    """A label of some segments that stand one after the other, and the rows that they take."""

    text: str
    first: int
    end: int
    is_made: bool
    places: tuple[Part, ...]

    @property
    def num_segments(self) -> int:
        """How many segments have this label."""
        return len({place.segment for place in self.places})

    @property
    def num_lines(self) -> int:
        """Lines of text."""
        return self.text.count("\n") + 1


def marks_of(record: MaskRecord, places: Sequence[Part]) -> list[Mark]:
    """The labels beside the rows: one a segment; where that is too many, one for segments that differ by
    a number alone, then one for all answers in a row; then those of the longest.
    """
    alone = [_mark(record, [place]) for place in places]
    by_number = _merged(record, alone, _numbered)
    by_kind = _merged(record, by_number, lambda mark: "answers" if mark.is_made else None)
    for marks in (alone, by_number, by_kind):
        if _height_in(marks) <= MOST_LABELS_IN:
            return marks
    longest = sorted(by_kind, key=lambda mark: mark.first - mark.end)
    while _height_in(longest) > MOST_LABELS_IN:
        longest.pop()
    return sorted(longest, key=lambda mark: mark.first)


def _mark(record: MaskRecord, places: Sequence[Part]) -> Mark:
    """The label of segments that stand one after the other."""
    segments = [record.segments[place.segment] for place in places]
    text = segments[0].label
    if len(places) > 1:
        last = _NUMBER.search(segments[-1].label)
        alike = last and {_NUMBER.sub("", one.label) for one in segments} == {_NUMBER.sub("", text)}
        base = _NUMBER.sub("", text).rstrip()
        run = f"{text.removeprefix(base).strip()} to {last[0]}" if last else ""
        text = f"{base}s {run}" if alike else f"{len({place.segment for place in places})} answers"
    is_made = all(one.kind == "generated" for one in segments)
    text = wrapped(text, MOST_LABEL_IN, LABEL_PT)
    return Mark(text, places[0].first, places[-1].end, is_made, tuple(places))


def _numbered(mark: Mark) -> str | None:
    """What labels have in common that differ by their last number."""
    return _NUMBER.sub("", mark.text) if _NUMBER.search(mark.text) else None


def _merged(
    record: MaskRecord, marks: Sequence[Mark], common: Callable[[Mark], str | None]
) -> list[Mark]:
    """Neighbours that have something in common under one label."""
    found: list[Mark] = []
    for _, run in groupby(enumerate(marks), lambda pair: common(pair[1]) or pair[0]):
        some = [mark for _, mark in run]
        places = [place for mark in some for place in mark.places]
        found.append(some[0] if len(some) == 1 else _mark(record, places))
    return found


def _height_in(marks: Sequence[Mark]) -> float:
    return sum(mark.num_lines for mark in marks) * LINE_PT / 72


def spread(wanted: Sequence[float], heights: Sequence[float], room: float) -> list[float]:
    """Middles of labels of some heights, as near to the wanted ones (rising) as they can be without one
    over another, between 0 and `room`.
    """
    found: list[float] = []
    above = 0.0
    for place, height in zip(wanted, heights, strict=True):
        found.append(max(place, above + height / 2))
        above = found[-1] + height / 2
    below = room
    for number in reversed(range(len(found))):
        found[number] = min(found[number], below - heights[number] / 2)
        below = found[number] - heights[number] / 2
    return found
