"""What a training document is made of."""

from typing import NamedTuple


class Span(NamedTuple):
    """A run of learned tokens: where it starts, how long it is, and what it is counted as."""

    start: int
    length: int
    label: str


class Sequence(NamedTuple):
    """Token ids of one branch, context included, with the spans to be learned."""

    ids: list[int]
    spans: list[Span]
