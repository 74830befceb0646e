"""From candidate edges to a graph that is worth its cost: few edges, sure ones, and never a circle.

An edge's score is its confidence minus `cost_weight` for each token that it adds to a prompt (the
earlier question, its answer, and a few words around them). Edges are accepted best first, as long as
no cap is passed and no circle closed. This is the published rule; its defaults, which differ from
program to program, are the presets.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from pydantic import Field

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge
from branchwise.records import Record

Preset = Literal["plain", "function", "comparison", "attention", "parallel"]


class Selection(Record):
    """How candidate edges are chosen from."""

    cost_weight: float = Field(0.0, ge=0, description="Confidence that one token of a prompt costs.")
    min_confidence: float = Field(0.45, ge=0, description="Least confidence of an edge.")
    max_needs: int | None = Field(3, ge=0, description="Edges into one question, at most.")
    max_needed_by: int | None = Field(None, ge=0, description="Edges out of one question, at most.")
    max_tokens: int | None = Field(None, ge=0, description="Tokens that all edges of a group add.")
    answer_tokens: int = Field(12, ge=0, description="Tokens that an answer is taken to have.")
    overhead_tokens: int = Field(6, ge=0, description="Tokens around a question and its answer.")


PRESETS: dict[Preset, Selection] = {
    # Every candidate without a circle: for edges that are known.
    "plain": Selection(min_confidence=0, max_needs=None),
    # parallel-agent: the defaults of the selection function, of compare_strategies, of its attention
    # generator, and of run_parallel (and of the older README).
    "function": Selection(cost_weight=0.01, min_confidence=0.35),
    "comparison": Selection(cost_weight=0.0, min_confidence=0.45),
    "attention": Selection(cost_weight=0.0, min_confidence=0.02),
    "parallel": Selection(cost_weight=0.01, min_confidence=0.45),
}


def select(
    edges: Iterable[Edge], group: Group, selection: Selection, count_tokens: Callable[[str], int]
) -> list[Edge]:
    """The accepted edges, best first; deterministic. Unknown questions and self edges are dropped.

    Of several edges between the same two questions only the best counts, so that doubles use up no cap.
    """
    names = {question.id: number for number, question in enumerate(group)}
    fixed = selection.answer_tokens + selection.overhead_tokens
    cost = {question.id: count_tokens(question.text) + fixed for question in group}
    accepted: list[Edge] = []
    taken: set[int] = set()
    count = len(names)
    needs, needed_by = [0] * count, [0] * count
    most_in = count if selection.max_needs is None else selection.max_needs
    most_out = count if selection.max_needed_by is None else selection.max_needed_by
    # Bit i of ancestors[q]: question i is needed, directly or not, by question q.
    ancestors = [0] * count
    tokens = 0
    for source, target, edge in _ranked(edges, names, cost, selection):
        if (
            needs[target] >= most_in
            or needed_by[source] >= most_out
            or ancestors[source] >> target & 1
            or source * count + target in taken
            or (selection.max_tokens is not None and tokens + cost[edge.source] > selection.max_tokens)
        ):
            continue
        accepted.append(edge)
        taken.add(source * count + target)
        needs[target] += 1
        needed_by[source] += 1
        tokens += cost[edge.source]
        above = ancestors[source] | 1 << source
        if above & ~ancestors[target]:
            below = 1 << target
            for number, known in enumerate(ancestors):
                if number == target or known & below:
                    ancestors[number] = known | above
    return accepted


def _ranked(
    edges: Iterable[Edge], names: dict[str, int], cost: dict[str, int], selection: Selection
) -> Iterator[tuple[int, int, Edge]]:
    """Edges that may be accepted at all, the best first, with the numbers of their questions; of equals
    the first given comes first.
    """
    weight, least = selection.cost_weight, selection.min_confidence
    kept: list[Edge] = []
    scores: list[float] = []
    for edge in edges:
        score = edge.confidence
        if score < least:
            continue
        if not 0 <= score <= 1:
            score = min(1.0, max(0.0, score))
        if weight:
            score -= weight * cost.get(edge.source, 0)
        if score > 0:
            kept.append(edge)
            scores.append(-score)
    for place in sorted(range(len(kept)), key=scores.__getitem__):
        edge = kept[place]
        source, target = names.get(edge.source), names.get(edge.target)
        if source is not None and target is not None and source != target:
            yield source, target, edge
