"""What a training document is made of."""

from collections.abc import Sequence as Seq
from typing import NamedTuple


class Span(NamedTuple):
    """A run of learned tokens: where it starts, how long it is, and what it is counted as."""

    start: int
    length: int
    label: str


class Sequence(NamedTuple):
    """Token ids of one branch, context included, with the spans to be learned.

    One that goes on `after` others of its document (by their numbers, which are lower than its own) holds
    its own ids alone: it sees what these see, and them. `end` is learned behind the last of its ids and
    read by nobody: it counts to the last span. Its own part stands `shift` positions behind where it goes
    on from, and at `x` beside the line of positions.
    """

    ids: list[int]
    spans: list[Span]
    after: tuple[int, ...] = ()
    end: int | None = None
    shift: int = 0
    x: int = 0

    @property
    def num_prompt(self) -> int:
        """Tokens before the first learned one; all, where none is learned."""
        if self.spans:
            return self.spans[0].start
        return len(self.ids)


class Document(NamedTuple):
    """Sequences about one context. `mixes`: the hidden states of their answers are mixed; `peeks`: their
    own parts see each other's earlier positions. Then no answer's first token hangs on a shared one.
    """

    sequences: Seq[Sequence]
    name: str = ""
    mixes: bool = False
    peeks: bool = False

    @property
    def is_apart(self) -> bool:
        """Whether the last token of every prompt is its branch's own."""
        return self.mixes or self.peeks
