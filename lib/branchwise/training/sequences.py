"""What a training document is made of."""

from typing import NamedTuple


class Span(NamedTuple):
    """A run of learned tokens: where it starts, how long it is, and what it is counted as."""

    start: int
    length: int
    label: str


class Sequence(NamedTuple):
    """Token ids of one branch, context included, with the spans to be learned.

    One that goes on `after` others of its document (by their numbers, which are lower than its own) holds
    its own ids alone: it sees what these see, and them.
    """

    ids: list[int]
    spans: list[Span]
    after: tuple[int, ...] = ()
