"""Edges between the questions of a group, and the order that they ask for."""

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.records import Record

if TYPE_CHECKING:
    # The config reads this module on every parse; networkx is only loaded where a graph is made.
    import networkx as nx


class Edge(Record):
    """`target` needs the answer to `source`: source first, then target with that answer known."""

    source: str
    target: str
    confidence: float = Field(1.0, description="How sure the generator is; 0 to 1 counts.")
    why: str = Field("", description="What the generator saw.")


def known_edges(group: Group) -> list[Edge]:
    """The dependencies that a group's data states, in the order of its questions."""
    return [
        Edge(source=name, target=question.id, why="stated by the data")
        for question in group
        for name in question.needs
    ]


def natural_key(name: str) -> tuple:
    """Sorts Q10 after Q9, as people do."""
    return tuple(
        (0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)
    )


def with_edges(group: Group, edges: Iterable[Edge]) -> Group:
    """The group with exactly these dependencies; what a question needs stands in the group's order.

    Raises UserError for unknown questions and for cycles, naming one.
    """
    order = {question.id: number for number, question in enumerate(group)}
    needs: dict[str, set[str]] = {name: set() for name in order}
    for edge in edges:
        for name in (edge.source, edge.target):
            if name not in order:
                raise UserError(f"group {group.id} has no question {name}", f"it has {', '.join(order)}")
        needs[edge.target].add(edge.source)
    questions = tuple(
        question.model_copy(update={"needs": tuple(sorted(needs[question.id], key=order.__getitem__))})
        for question in group
    )
    changed = group.model_copy(update={"questions": questions})
    check_acyclic(changed)
    return changed


def graph_of(group: Group) -> "nx.DiGraph":
    """The group's questions as a graph, edges from what is needed to what needs it."""
    import networkx as nx

    graph = nx.DiGraph()
    graph.add_nodes_from(question.id for question in group)
    graph.add_edges_from((name, question.id) for question in group for name in question.needs)
    return graph


def check_acyclic(group: Group) -> None:
    """Raise UserError where questions wait for each other in a circle, naming it."""
    import networkx as nx

    graph = graph_of(group)
    if not nx.is_directed_acyclic_graph(graph):
        circle = " -> ".join(source for source, _ in nx.find_cycle(graph))
        raise UserError(
            f"group {group.id}: questions wait for each other in a circle: {circle}",
            "leave out one of these dependencies",
        )


def layers(group: Group) -> list[tuple[str, ...]]:
    """Questions by depth: each layer needs only those before it. Within one, the group's order."""
    import networkx as nx

    order = {question.id: number for number, question in enumerate(group)}
    found: Sequence[Iterable[str]] = list(nx.topological_generations(graph_of(group)))
    return [tuple(sorted(layer, key=order.__getitem__)) for layer in found]
