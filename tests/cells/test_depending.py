"""The dependency stage, by generators that are known: what it keeps, what it costs, what it resumes."""

from pathlib import Path

import pytest
from tests.fakes import Clock, group_of

from branchwise.cells import depending as depending_module
from branchwise.cells.depending import Depending, check_control, find_all, states_needs
from branchwise.cells.generators.base import FREE, Found
from branchwise.cells.staging import Kept
from branchwise.dependencies.controls import control_edges
from branchwise.dependencies.entries import ControlEntry, HeuristicEntry
from branchwise.dependencies.graph import Edge
from branchwise.dependencies.selection import Selection
from branchwise.errors import UserError
from branchwise.stages import GroupDependencies
from branchwise.trace import Tokens

GROUP = group_of(3, q3="q1")
TOKENS = Tokens(sent=9, unique=6, cached=3, generated=2, padding=1)


def heuristic(**selection) -> HeuristicEntry:
    return HeuristicEntry(kind="heuristic", selection=Selection(**selection))


def by_hand(entry, generate, count_tokens=len, states=True) -> Depending:
    return Depending("mine", entry, generate, count_tokens, states)


def generated(*edges: Edge, **facts):
    return lambda group: Found(edges, **facts)


EDGES = (
    Edge(source="q1", target="q2", confidence=0.9),
    Edge(source="q2", target="q3", confidence=0.3),
    Edge(source="q3", target="q1", confidence=0.8),
)


def test_what_is_found_and_what_it_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    clock.install(monkeypatch, depending_module)

    def generate(group):
        clock.now_s += 2
        return Found(EDGES, tokens=TOKENS, forward_passes=4, raw="said", num_dropped=1)

    def count(text: str) -> int:
        clock.now_s += 1  # choosing is timed, too: one question a second
        return 1

    found = by_hand(heuristic(min_confidence=0.5), generate, count).find(GROUP)
    assert (found.group, found.generator, found.wall_s) == ("g", "mine", 2 + 3)
    assert found.candidates == EDGES
    assert found.edges == (("q1", "q2"), ("q3", "q1"))
    assert found.known == (("q1", "q3"),)
    assert (found.tokens, found.forward_passes, found.raw, found.num_dropped) == (TOKENS, 4, "said", 1)
    assert found.fallback is None


def test_edges_are_chosen_by_the_models_tokens() -> None:
    """10 tokens of the question, 12 of its answer, 6 around them, at .02 each: .56 of .9 and of .3."""
    found = by_hand(heuristic(cost_weight=0.02, min_confidence=0), generated(*EDGES[:2]), lambda text: 10)
    assert found.find(GROUP).edges == (("q1", "q2"),)
    found = by_hand(heuristic(cost_weight=0.02, min_confidence=0), generated(*EDGES[:2]), lambda text: 30)
    assert found.find(GROUP).edges == ()


def test_what_is_given_costs_nothing() -> None:
    entry = ControlEntry(kind="gold")
    found = by_hand(entry, lambda group: Found(control_edges(group, entry))).find(GROUP)
    assert (found.edges, found.wall_s, found.tokens, found.forward_passes) == (
        (("q1", "q3"),),
        0,
        FREE,
        0,
    )
    assert by_hand(heuristic(), generated()).find(GROUP).wall_s > 0


def test_data_that_state_nothing_are_not_known_to_have_no_edges() -> None:
    assert by_hand(heuristic(), generated(), states=False).find(GROUP).known is None
    assert by_hand(heuristic(), generated()).find(group_of(2)).known == ()


def test_controls_of_what_is_not_stated_are_refused() -> None:
    stated, none = [group_of(2), GROUP], [group_of(2)]
    assert states_needs(stated)
    assert not states_needs(none)
    for kind in ("gold", "reverse", "random"):
        with pytest.raises(UserError, match="dependencies mine are those that the data state"):
            check_control(ControlEntry(kind=kind), "mine", none)
        check_control(ControlEntry(kind=kind), "mine", stated)
    check_control(ControlEntry(kind="none"), "mine", none)
    check_control(heuristic(), "mine", none)


def test_the_first_is_found_once_before_and_what_is_known_is_not_found_again(tmp_path: Path) -> None:
    asked: list[str] = []
    progress: list[tuple[int, int]] = []

    def generate(group):
        asked.append(group.id)
        return Found(EDGES[:1], tokens=TOKENS, forward_passes=len(asked))

    groups = [group_of(3, name) for name in "abc"]
    depending = by_hand(heuristic(), generate)

    def kept(identity: str = "i") -> Kept[GroupDependencies]:
        return Kept(GroupDependencies, tmp_path / "journal.jsonl", identity)

    first = find_all(groups[:2], depending, lambda *done: progress.append(done), kept())
    assert asked == ["a", "a", "b"]
    # The warm-up's result is not the one that counts.
    assert [found.forward_passes for found in first] == [2, 3]
    asked.clear()
    again = find_all(groups, depending, lambda *done: progress.append(done), kept())
    assert asked == ["c", "c"]
    assert again[:2] == first
    assert progress == [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]
    asked.clear()
    find_all(groups, depending, lambda *done: None, kept("another"))
    assert asked == ["a", "a", "b", "c"]
    asked.clear()
    find_all(groups[:1], depending, lambda *done: None)
    assert asked == ["a", "a"]
