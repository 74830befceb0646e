"""Controls: dependencies that were not found but given, so that finding them can be judged."""

import random

from branchwise.data.types import Group
from branchwise.dependencies.entries import ControlEntry
from branchwise.dependencies.graph import Edge, known_edges


def control_edges(group: Group, entry: ControlEntry) -> list[Edge]:
    """The edges of a group that a control gives."""
    if entry.kind == "random":
        return random_edges(group, entry.seed)
    if entry.kind == "reverse":
        return reversed_edges(group)
    return known_edges(group) if entry.kind == "gold" else []


def random_edges(group: Group, seed: int) -> list[Edge]:
    """As many edges as the data states for this group, between random questions.

    The graph costs what the true one costs, and says nothing. No pair twice, and no circle: an edge
    always goes forward in one random order.
    """
    rng = random.Random(f"edges/{seed}/{group.id}")
    names = [question.id for question in group]
    rng.shuffle(names)
    pairs = [(one, other) for place, one in enumerate(names) for other in names[place + 1 :]]
    wanted = len(known_edges(group))
    chosen = rng.sample(pairs, min(wanted, len(pairs)))
    return [Edge(source=one, target=other, why="at random") for one, other in chosen]


def reversed_edges(group: Group) -> list[Edge]:
    """The stated dependencies the wrong way round."""
    return [
        Edge(source=edge.target, target=edge.source, why="the wrong way round")
        for edge in known_edges(group)
    ]
