"""Controls by hand: what each gives of the same stated dependencies."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import group_of

from branchwise.dependencies.controls import control_edges, random_edges, reversed_edges
from branchwise.dependencies.entries import ControlEntry
from branchwise.dependencies.graph import graph_of, known_edges

GROUP = group_of(5, q3="q1 q2", q5="q3")


def pairs(edges) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in edges]


@pytest.mark.parametrize(
    ("kind", "edges"),
    [
        ("none", []),
        ("gold", [("q1", "q3"), ("q2", "q3"), ("q3", "q5")]),
        ("reverse", [("q3", "q1"), ("q3", "q2"), ("q5", "q3")]),
    ],
)
def test_by_hand(kind: str, edges: list[tuple[str, str]]) -> None:
    found = control_edges(GROUP, ControlEntry(kind=kind))  # type: ignore[arg-type]
    assert pairs(found) == edges
    assert all(edge.confidence == 1 for edge in found)


@given(st.integers(0, 30))
def test_at_random_are_as_many_as_the_data_states_and_never_a_circle(seed: int) -> None:
    found = pairs(control_edges(GROUP, ControlEntry(kind="random", seed=seed)))
    assert len(set(found)) == len(found) == 3
    assert nx.is_directed_acyclic_graph(nx.DiGraph(found))
    assert all(source != target for source, target in found)
    assert found == pairs(random_edges(GROUP, seed))


def test_another_seed_and_another_group_draw_other_edges() -> None:
    drawn = {tuple(pairs(random_edges(GROUP, seed))) for seed in range(20)}
    assert len(drawn) > 10
    renamed = {tuple(pairs(random_edges(GROUP.model_copy(update={"id": str(n)}), 0))) for n in range(20)}
    assert len(renamed) > 10
    # Edges in both directions of the group's order, else they would be half the truth.
    turned = [source > target for edges in drawn for source, target in edges]
    assert 0.3 < sum(turned) / len(turned) < 0.7


def test_no_more_edges_than_pairs() -> None:
    full = group_of(2, q2="q1")
    assert len(random_edges(full, 0)) == 1
    assert random_edges(group_of(2), 0) == []
    circle = group_of(2, q1="q2", q2="q1")
    assert len(random_edges(circle, 0)) == 1


def test_known_edges_and_their_graph() -> None:
    assert pairs(known_edges(GROUP)) == [("q1", "q3"), ("q2", "q3"), ("q3", "q5")]
    assert sorted(graph_of(GROUP).edges) == [("q1", "q3"), ("q2", "q3"), ("q3", "q5")]
    assert sorted(graph_of(GROUP).nodes) == ["q1", "q2", "q3", "q4", "q5"]
    assert pairs(reversed_edges(group_of(3))) == []
