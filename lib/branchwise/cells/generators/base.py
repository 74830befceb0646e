"""What every generator of dependencies gives back."""

from collections.abc import Callable, Iterable
from typing import Any

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge
from branchwise.trace import Tokens

FREE = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)


class Found:
    """What a generator made of one group, before edges are chosen. `asked_s`: how long it took, where a
    clock around it does not know (a served model may have been asked before).
    """

    def __init__(self, edges: Iterable[Edge], asked_s: float | None = None, **facts: Any) -> None:
        self.edges = tuple(edges)
        self.asked_s = asked_s
        self.facts: dict[str, Any] = {"tokens": FREE, "forward_passes": 0, "fallback": None} | facts


Generator = Callable[[Group], Found]
