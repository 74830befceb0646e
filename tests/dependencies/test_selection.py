"""Selection: the published rule by hand, and its promises over many random edge sets."""

import random

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import (
    Edge,
    check_acyclic,
    known_edges,
    layers,
    natural_key,
    with_edges,
)
from branchwise.dependencies.selection import PRESETS, Selection, select
from branchwise.errors import UserError


def group(count: int, words: int = 4) -> Group:
    questions = tuple(
        Question(id=f"q{n}", text=" ".join(["word"] * words), golds=("x",)) for n in range(1, count + 1)
    )
    return Group(id="g", questions=questions)


def count_words(text: str) -> int:
    return len(text.split())


def edge(source: int, target: int, confidence: float = 1.0) -> Edge:
    return Edge(source=f"q{source}", target=f"q{target}", confidence=confidence)


def chosen(edges: list[Edge], size: int, **fields) -> list[tuple[str, str]]:
    rule = Selection(**({"min_confidence": 0, "max_needs": None} | fields))
    return [(e.source, e.target) for e in select(edges, group(size), rule, count_words)]


def test_presets_are_the_published_defaults() -> None:
    function, comparison = PRESETS["function"], PRESETS["comparison"]
    assert (function.cost_weight, function.min_confidence, function.max_needs) == (0.01, 0.35, 3)
    assert (comparison.cost_weight, comparison.min_confidence, comparison.max_needs) == (0, 0.45, 3)
    assert PRESETS["attention"].min_confidence == 0.02
    assert (PRESETS["parallel"].cost_weight, PRESETS["parallel"].min_confidence) == (0.01, 0.45)
    assert all(preset.max_tokens is None for preset in PRESETS.values())


def test_by_hand_cost_and_confidence() -> None:
    """An edge costs 4 tokens of the question + 12 of its answer + 6: at weight .01 that is .22."""
    edges = [edge(1, 2, 0.57), edge(1, 3, 0.21), edge(2, 3, 0.9), edge(3, 3), edge(9, 1)]
    assert chosen(edges, 3, cost_weight=0.01, min_confidence=0.2) == [("q2", "q3"), ("q1", "q2")]
    assert chosen(edges, 3, cost_weight=0.01, min_confidence=0.6) == [("q2", "q3")]
    assert chosen(edges, 3, cost_weight=0.05) == []


def test_by_hand_caps_budget_and_circles() -> None:
    ranked = [edge(1, 4, 0.9), edge(2, 4, 0.8), edge(3, 4, 0.7), edge(4, 1, 0.6), edge(3, 1, 0.5)]
    assert chosen(ranked, 4, max_needs=2) == [("q1", "q4"), ("q2", "q4"), ("q3", "q1")]
    assert chosen(ranked, 4, max_needed_by=1) == [("q1", "q4"), ("q2", "q4"), ("q3", "q4")]
    assert chosen(ranked, 4, max_tokens=44) == [("q1", "q4"), ("q2", "q4")]
    assert ("q4", "q1") not in chosen(ranked, 4)
    # A circle through several questions.
    assert chosen([edge(1, 2, 0.9), edge(2, 3, 0.8), edge(3, 1, 0.7)], 3) == [("q1", "q2"), ("q2", "q3")]


def test_doubles_use_up_no_cap_and_ties_keep_their_order() -> None:
    edges = [edge(1, 3, 0.5), edge(1, 3, 0.5), edge(1, 3, 0.9), edge(2, 3, 0.5)]
    assert chosen(edges, 3, max_needs=2) == [("q1", "q3"), ("q2", "q3")]
    assert chosen([edge(2, 3), edge(1, 3)], 3) == [("q2", "q3"), ("q1", "q3")]


edge_sets = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([-0.5, 0.2, 0.4, 0.5, 0.9, 1.5])),
    max_size=60,
)


@settings(max_examples=300)
@given(
    edge_sets,
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 3),
    st.none() | st.integers(0, 120),
    st.sampled_from([0.0, 0.01]),
)
def test_never_a_circle_nor_over_a_cap(edges, needs, needed_by, tokens, weight) -> None:
    rule = Selection(
        cost_weight=weight,
        min_confidence=0.3,
        max_needs=needs,
        max_needed_by=needed_by,
        max_tokens=tokens,
    )
    _check([edge(*one) for one in edges], rule)


@pytest.mark.slow
def test_ten_thousand_random_edge_sets() -> None:
    rng = random.Random(0)
    for _ in range(10_000):
        edges = [
            edge(rng.randint(0, 10), rng.randint(0, 10), rng.choice((0.1, 0.5, 0.8)))
            for _ in range(rng.randint(0, 50))
        ]
        rule = Selection(
            cost_weight=rng.choice((0.0, 0.01)),
            min_confidence=rng.choice((0.0, 0.45)),
            max_needs=rng.choice((None, 1, 3)),
            max_needed_by=rng.choice((None, 2)),
            max_tokens=rng.choice((None, 60, 200)),
        )
        _check(edges, rule)


def _check(edges: list[Edge], rule: Selection) -> None:
    asked = group(8)
    found = select(edges, asked, rule, count_words)
    assert found == select(edges, asked, rule, count_words)
    graph = nx.DiGraph((e.source, e.target) for e in found)
    assert nx.is_directed_acyclic_graph(graph)
    assert len(graph.edges) == len(found)
    assert all(e.confidence >= rule.min_confidence for e in found)
    if rule.max_needs is not None:
        assert max((d for _, d in graph.in_degree), default=0) <= rule.max_needs
    if rule.max_needed_by is not None:
        assert max((d for _, d in graph.out_degree), default=0) <= rule.max_needed_by
    if rule.max_tokens is not None:
        assert 22 * len(found) <= rule.max_tokens
    followed = {(e.source, e.target) for e in known_edges(with_edges(asked, found))}
    assert followed == {(e.source, e.target) for e in found}


def test_two_hundred_questions_choose_among_all_pairs() -> None:
    rng = random.Random(1)
    names = range(1, 201)
    edges = [edge(a, b, rng.random()) for a in names for b in names if a != b]
    found = select(edges, group(200), PRESETS["comparison"], count_words)
    graph = nx.DiGraph((e.source, e.target) for e in found)
    assert nx.is_directed_acyclic_graph(graph)
    # All but a few first questions of the order reach their cap.
    assert sum(degree == 3 for _, degree in graph.in_degree) > 190


def test_layers_and_original_order() -> None:
    asked = with_edges(group(12), [edge(12, 1), edge(9, 1), edge(1, 10), edge(2, 10)])
    assert layers(asked)[0] == tuple(f"q{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 11, 12))
    assert layers(asked)[1:] == [("q1",), ("q10",)]
    assert asked.questions[0].needs == ("q9", "q12")
    assert sorted(["Q10", "Q9", "Q2"], key=natural_key) == ["Q2", "Q9", "Q10"]


def test_circles_and_unknown_questions_are_refused() -> None:
    with pytest.raises(UserError, match="in a circle: q1 -> q2|in a circle: q2 -> q1"):
        with_edges(group(2), [edge(1, 2), edge(2, 1)])
    with pytest.raises(UserError, match="has no question q7"):
        with_edges(group(2), [edge(7, 2)])
    check_acyclic(group(3))
