"""Generators: words, replies of models as they come, and an encoder's attention."""

from pathlib import Path

import pytest
import regex
import torch

from branchwise.config.load import load_catalogues
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.dependencies.attention import attention_edges, attention_shares, pack
from branchwise.dependencies.controls import random_edges, reversed_edges
from branchwise.dependencies.entries import PUBLISHED_THRESHOLD, AttentionEntry
from branchwise.dependencies.graph import known_edges
from branchwise.dependencies.heuristic import heuristic_edges
from branchwise.dependencies.llm import planning_messages, read_edges, reply_pattern
from branchwise.dependencies.selection import Selection, select
from branchwise.errors import UserError

IDS = ["a", "b", "c", "d"]


def asked(*texts: str) -> Group:
    questions = tuple(Question(id=IDS[n], text=text, golds=("x",)) for n, text in enumerate(texts))
    return Group(id="g", context="passage", questions=questions)


def pairs(edges) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in edges]


@pytest.mark.parametrize(
    ("texts", "edges"),
    [
        (("Who is the boss of Mara?", "Where does that person live?"), [("a", "b")]),
        (("Who built it?", "How tall is the city with the fitting?"), []),
        (("Is it that the mill stands?", "In a city that has a fair, who lives?"), []),
        (("Who built the mill?", "Who owns the inn?", "How old is she?"), [("b", "c")]),
        (("How many roads?", "How many inns?", "What is the total?"), [("a", "c"), ("b", "c")]),
        (("Who is the boss of Mara?", "What is the job of the boss of Mara?"), [("a", "b")]),
        (("What is the job of the boss of Mara?", "Who is the boss of Mara?"), [("b", "a")]),
        (("Who built the mill?", "Who built the mill?"), []),
        (("谁建了磨坊？", "它有多高？"), [("a", "b")]),
        (("诊断是什么？", "应该如何治疗？其他方法呢？"), []),
        (("Кто начальник Мары?", "Где живёт начальник Мары?"), []),
        (("有几条路？", "有几家店？", "总共多少？"), [("a", "c"), ("b", "c")]),
    ],
)
def test_words_that_lean_on_another_question(texts: tuple[str, ...], edges: list) -> None:
    """The published rules matched substrings: "it" in "city" and "with" made references of them."""
    assert pairs(heuristic_edges(asked(*texts))) == edges


def edges_of(text: str) -> list[tuple[str, str]] | None:
    read = read_edges(text, IDS)
    return None if read.edges is None else pairs(read.edges)


WANTED = [("a", "c"), ("b", "d")]


@pytest.mark.parametrize(
    "text",
    [
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        '```json\n{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}\n```',
        '<think>{"edges": [{"Q1": "Q2"}]}</think>{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        "Sure! {'edges': [{'Q3': 'Q1'}, {'Q4': 'Q2'}]} Hope that helps.",
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"},],}',
        '[{"Q3": "Q1"}, {"Q4": "Q2"}]',
        '{"Q3": "Q1", "Q4": "Q2"}',
        '{"Q3": ["Q1"], "Q4": ["Q2"]}',
        '{"edges": [["Q3", "Q1"], ["Q4", "Q2"]]}',
        '{"edges": [{"source": "Q1", "target": "Q3"}, {"source": "b", "target": "d"}]}',
        '{"edges": [{"q3": 1}, {"4": "2"}]}',
        '{"edges": [{"Q3": "Q1"}, {"Q3": "Q9"}, {"Q2": "Q2"}, "Q1", 7, {"Q4": "Q2"}]}',
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}, {"Q4": "Q',
        '```json\n{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}',
        '{"edges": [{"Q3": "Q1"}, {"Q3": "Q1"}, {"Q4": "Q2"}]}',
        'Maybe {"edges": [{"Q1": "Q2"}]}? No.\n</think>\n{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        'As in [1], or [] for none: {"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        'Use {braces like these}. {"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        '{"order": ["Q1"], "edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}',
        '{"edges": [{"Q3": "Q1"} {"Q4": "Q2"}]}',
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}}',
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"]}',
        '{"edges": [["Q3", "Q1"], ["Q4", "Q2"]',
        "{'edges': [{'Q3': 'Q1', 'Q4': None}, {'Q3': 'Q1'}, {'Q4': 'Q2'}]}",
        '{"edges": [{"source": "Q1", "target": "Q3", "why": "it\'s \\"her\\" [sic]"}, {"Q4": "Q2"},]}',
        '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}, {"Q2": "Q1',
    ],
)
def test_replies_seen_in_the_wild_are_read(text: str) -> None:
    assert edges_of(text) == WANTED


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("Q3 needs Q1.", "no JSON"),
        ("<think>so Q3", "cut off in its thoughts"),
        ('{"edges": "Q3 needs Q1"}', "no list"),
        ('{"edges": ["Q3->Q1", "Q4->Q2"]}', "none of 2 items"),
        ('{"edges": [{"Q3": "Q9"}]}', "none of 1 items"),
        ('{{"edges": [{{"Q3": "Q1"}}]}}', "broken JSON"),
        ("{['Q1', 'Q2']: 'Q3'}", "broken JSON"),
        ('{"edges": [{"Q3": "Q1"}, {"Q4": Q2}, {"Q2": "Q1"}]}', "broken JSON"),
        ("[" * 2000, "JSON"),
        ('{"edges": [{"Q3": 1' + "1" * 5000 + "}]}", "JSON"),
        # What json_repair would guess: bare names, dots, prose; two words made one, or one dropped.
        ("{Q3: Q1}", "broken JSON"),
        ("[Q3, Q1]", "broken JSON"),
        ('{"edges": [...]}', "broken JSON"),
        ('{"edges": [{"Q3": "Q1"}, ...]}', "broken JSON"),
        ("{Q3 needs Q1, as it says: yes}", "broken JSON"),
        ('{"edges": [["Q2"["Q1"], {"Q3": "Q1"}]}', "broken JSON"),
        ('{"edges": [{"Q3": "Q1" "Q2"}, {"Q4": "Q2"}]}', "broken JSON"),
        ('{"edges": [{"Q3" -> "Q1"}]}', "broken JSON"),
        ("{" + "1" * 5000 + "x}", "broken JSON"),
        ('{"order": ["Q1", "Q2"]}', "every question once"),
        ('{"order": ["Q1", "Q2", "Q3", "Q3"]}', "every question once"),
    ],
)
def test_replies_that_cannot_be_read_are_refused(text: str, problem: str) -> None:
    read = read_edges(text, IDS)
    assert read.edges is None
    assert problem in read.problem


def test_no_edges_is_an_answer_and_ranks_are_confidences() -> None:
    # Error 18: dependency edges reversed, thresholds that filter nothing.
    assert edges_of('{"edges": []}') == []
    assert edges_of("[]") == []
    read = read_edges('{"edges": [{"Q3": "Q1"}, {"Q9": "Q1"}, {"Q4": "Q2"}]}', IDS)
    assert [edge.confidence for edge in read.edges] == [1.0, 0.75]
    assert read.num_dropped == 1


def test_questions_are_named_by_their_place_not_by_their_id() -> None:
    read = read_edges('{"edges": [{"Q2": "Q1"}]}', ["Q2", "Q1"])
    assert pairs(read.edges) == [("Q2", "Q1")]


def test_an_order_is_a_chain() -> None:
    assert edges_of('{"order": ["Q2", "Q1", "Q4", "Q3"]}') == [("b", "a"), ("a", "d"), ("d", "c")]


@pytest.mark.parametrize("shape", ["edges", "order"])
def test_the_pattern_is_that_of_readable_replies(shape: str) -> None:
    pattern = regex.compile(reply_pattern(4, shape))
    good = {
        "edges": {'{"edges": []}': [], '{"edges": [{"Q3": "Q1"}, {"Q4": "Q2"}]}': WANTED},
        "order": {'{"order": ["Q2", "Q1", "Q4", "Q3"]}': [("b", "a"), ("a", "d"), ("d", "c")]},
    }[shape]
    for text, edges in good.items():
        assert pattern.fullmatch(text)
        assert edges_of(text) == edges
        assert all(pattern.fullmatch(text[:end], partial=True) for end in range(len(text)))
    text = list(good)[-1]
    assert not pattern.fullmatch(text.replace("Q1", "Q5"))


def test_a_planner_sees_the_passage_only_where_it_should() -> None:
    group = asked("Who?", "Where?")
    assert "passage" not in planning_messages(group, "edges", False)[1]["content"]
    assert planning_messages(group, "edges", True)[1]["content"].startswith("passage\n\nQ1: Who?")


def test_controls() -> None:
    spec = WorldsSpec(kinds=("two_hop",), group_size=8, num_groups=5, min_facts=10, max_facts=12)
    for group in make_groups(spec):
        known = known_edges(group)
        assert len(known) == 4
        assert pairs(reversed_edges(group)) == [(b, a) for a, b in pairs(known)]
        drawn = pairs(random_edges(group, 0))
        assert drawn == pairs(random_edges(group, 0))
        assert drawn != pairs(random_edges(group, 1))
        assert len(set(drawn)) == len(known)


class FakeTokenizer:
    cls_token_id, sep_token_id = 1, 2

    def encode(self, text: str, add_special_tokens: bool, split_special_tokens: bool) -> list[int]:
        return [10 + ord(char) for char in text]


def test_no_question_vanishes_from_a_full_pack() -> None:
    packed = pack(["abcdef", "gh", "ijklmnop"], FakeTokenizer(), max_tokens=16, max_question_tokens=5)
    assert packed.ids[0] == 1
    assert [len(span) for span in packed.spans] == [4, 2, 4]
    assert packed.num_cut == 2
    assert len(packed.ids) <= 16
    assert [packed.ids[span.stop] for span in packed.spans] == [2, 2, 2]
    with pytest.raises(UserError, match="do not fit"):
        pack(["a"] * 9, FakeTokenizer(), 16, 5)


class FakeEncoder:
    """Two layers of two heads; question 2 attends to question 1 alone in the last layer."""

    def __call__(self, ids: torch.Tensor, output_attentions: bool):
        count = ids.shape[1]
        even = torch.full((1, 2, count, count), 1 / count)
        sharp = even.clone()
        sharp[0, :, 4:6] = 0
        sharp[0, 0, 4:6, 1] = 1
        sharp[0, 1, 4:6, 2] = 1
        return type("Output", (), {"attentions": (even, sharp)})


def test_shares_of_attention_and_their_direction() -> None:
    # Error 18: dependency edges reversed, thresholds that filter nothing.
    packed = pack(["ab", "cd"], FakeTokenizer(), 64, 64)
    assert [list(span) for span in packed.spans] == [[1, 2], [4, 5]]
    last = attention_shares(FakeEncoder(), packed, (-1,), "mean", "mean")
    assert last[1, 0] == pytest.approx(1.0)
    assert last[0, 1] == pytest.approx(2 / 7)
    assert last.diagonal().abs().sum() == 0
    both = attention_shares(FakeEncoder(), packed, None, "mean", "mean")
    assert both[1, 0] == pytest.approx((1 + 2 / 7) / 2)
    assert attention_shares(FakeEncoder(), packed, (-1,), "max", "max")[1, 0] == pytest.approx(2.0)
    group = asked("ab", "cd")
    assert pairs(attention_edges(group, last, "absolute", 0.5, "needs")) == [("a", "b")]
    assert pairs(attention_edges(group, last, "absolute", 0.5, "published")) == [("b", "a")]
    (only,) = attention_edges(group, last, "absolute", 0.5, "needs")
    assert only.confidence == pytest.approx(1.0)


def shares_like_an_encoders(count: int) -> torch.Tensor:
    """Every pair has about the same share, b and c somewhat more for a: what MiniLM gives, about."""
    shares = torch.full((count, count), 0.4 / (count - 1)).fill_diagonal_(0)
    shares[1, 0] *= 1.6
    shares[2, 0] *= 1.4
    return shares


@pytest.mark.parametrize("count", [4, 16])
def test_the_relative_rule_finds_the_same_pairs_in_small_and_large_groups(count: int) -> None:
    """The published threshold lets every pair through: all shares of a group this small are above it."""
    group = Group(
        id="g", questions=tuple(Question(id=f"q{n}", text="?", golds=("x",)) for n in range(count))
    )
    shares = shares_like_an_encoders(count)
    published = attention_edges(group, shares, "absolute", PUBLISHED_THRESHOLD, "needs")
    assert len(published) == count * (count - 1)
    found = attention_edges(group, shares, "relative", 1.25, "needs")
    assert pairs(found) == [("q0", "q1"), ("q0", "q2")]
    assert 0.5 < found[1].confidence < found[0].confidence < 1
    turned = attention_edges(group, shares, "relative", 1.25, "published")
    assert pairs(turned) == [("q1", "q0"), ("q2", "q0")]


def test_the_relative_rule_finds_nothing_in_no_attention() -> None:
    one, two = asked("a"), asked("a", "b")
    assert attention_edges(one, torch.zeros(1, 1), "relative", 1.25, "needs") == []
    assert attention_edges(two, torch.zeros(2, 2), "relative", 0, "needs") == []


def test_relative_edges_are_not_filtered_again_when_they_are_chosen_from() -> None:
    relative, absolute = (
        AttentionEntry(kind="attention", rule=rule) for rule in ("relative", "absolute")
    )
    assert AttentionEntry(kind="attention") == relative
    assert (relative.threshold, absolute.threshold) == (1.25, PUBLISHED_THRESHOLD)
    assert (relative.selection.min_confidence, absolute.selection.min_confidence) == (0, 0.02)
    own = AttentionEntry(kind="attention", selection=Selection(min_confidence=0.6))
    assert own.selection.min_confidence == 0.6
    group = asked("a", "b", "c")
    edges = attention_edges(group, shares_like_an_encoders(3), "relative", relative.threshold, "needs")
    assert len(edges) == 1
    assert select(edges, group, relative.selection, len) == edges


def test_the_published_entry_keeps_the_published_rule(root: Path) -> None:
    catalogue = load_catalogues(root).dependencies
    published = catalogue["attention_published"]
    assert (published.rule, published.threshold, published.direction) == ("absolute", 0.02, "published")
    assert catalogue["attention"].rule == "relative"
