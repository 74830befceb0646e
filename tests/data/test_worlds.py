"""Worlds: known answers, known dependencies, and no way around reading."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.data.worlds import KINDS, WorldsSpec, make_groups
from branchwise.data.worlds import wordings as words
from branchwise.data.worlds.lexicon import cities, people
from branchwise.data.worlds.questions import ASKERS, Draft, chains
from branchwise.data.worlds.world import make_world

worlds = st.builds(
    lambda seed, facts: make_world(random.Random(seed), facts),
    st.integers(0, 10**6),
    st.integers(4, 12),
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_makes_groups_of_the_right_size(kind: str) -> None:
    groups = list(make_groups(WorldsSpec(kinds=(kind,), group_size=4, num_groups=20)))
    assert [len(group) for group in groups] == [4] * 20
    asked = {"documents": "look_up", "copy": "copy_untold"}.get(kind, kind)
    assert all(any(q.kind == asked for q in group) for group in groups)


@pytest.mark.parametrize("size", [2, 5])
def test_of_copies_only_one_passage_holds_the_answer(size: int) -> None:
    for group in make_groups(WorldsSpec(kinds=("copy",), group_size=size, num_groups=30, min_facts=3)):
        assert len({question.text for question in group}) == 1 == len({q.golds for q in group})
        assert [q.kind for q in group].count("copy_told") == 1
        for question in group:
            (gold,) = question.golds
            assert question.kind == "copy_untold" or gold in str(question.context)
    with pytest.raises(ValueError, match="no other kind goes beside it"):
        WorldsSpec(kinds=("copy", "look_up"))


@given(worlds)
def test_a_kind_of_fact_is_stated_of_two_subjects_with_different_values(world) -> None:
    for kind in {fact.kind for fact in world.facts}:
        facts = world.of_kind(kind)
        assert len({fact.subject for fact in facts}) == len(facts) >= 2
        if kind != "relation":
            assert len({fact.value for fact in facts}) >= 2


@settings(max_examples=50)
@given(worlds, st.sampled_from(sorted(ASKERS)), st.integers(0, 10**6))
def test_answers_follow_from_the_stated_facts(world, kind: str, seed: int) -> None:
    values = {fact.value for fact in world.facts} | {fact.subject for fact in world.facts}
    for question in ASKERS[kind](Draft(random.Random(seed), world), 1):
        gold = question.golds[0]
        if question.kind == "choice":
            gold = question.options["ABCDEFGHIJ".index(gold)]
        if question.kind == "count":
            homes = [fact.value for fact in world.of_kind("home")]
            assert int(gold) in {homes.count(city) for city in homes}
        elif question.gold_spans:
            parts = [part.split(": ") for part in question.gold_spans[0]]
            assert {said for part in parts for said in part} <= values
            assert all(title in gold and value in gold for title, value in parts)
        else:
            assert gold in values


@given(worlds)
def test_two_hop_questions_need_the_question_before_them(world) -> None:
    draft = Draft(random.Random(1), world)
    questions = ASKERS["two_hop"](draft, 1)
    if not chains(world):
        assert questions == []
        return
    first, second = questions
    assert second.needs == (first.id,)
    assert first.golds[0] not in second.text


def test_a_follow_up_does_not_name_what_it_is_about() -> None:
    spec = WorldsSpec(kinds=("follow_up",), num_groups=50)
    asked = [q.text for group in make_groups(spec) for q in group if q.kind == "follow_up"]
    assert len(asked) >= 50
    for text in asked:
        assert not any(name in text for name in people("seen") + cities("seen"))


@pytest.mark.parametrize("kind", ["look_up", "two_hop", "follow_up", "reverse", "cloze"])
def test_a_guess_by_type_is_far_from_right(kind: str) -> None:
    """The shortcut trap: in a first generator most answers were fixed by their type alone."""
    groups = make_groups(WorldsSpec(kinds=(kind,), num_groups=200, min_facts=6))
    guesses = [q.guess for group in groups for q in group if q.kind == kind]
    assert 0.15 < sum(guesses) / len(guesses) < 0.5


def test_type_guess_is_what_a_guesser_scores() -> None:
    rng = random.Random(0)
    right, expected = [], []
    for seed in range(2000):
        world = make_world(random.Random(seed), 8)
        fact = rng.choice(world.facts)
        right.append(rng.choice(world.of_kind(fact.kind)).value == fact.value)
        expected.append(world.type_guess(fact.kind, fact.value))
    assert abs(sum(right) / len(right) - sum(expected) / len(expected)) < 0.03


def test_nothing_is_asked_twice() -> None:
    """The second time, the answer would stand in the history."""
    for group in make_groups(WorldsSpec(kinds=("look_up", "two_hop"), group_size=8, min_facts=9)):
        firsts = [(q.golds, q.guess) for q in group if q.kind == "look_up"]
        texts = [q.text for q in group]
        assert len(set(texts)) == len(texts)
        assert len(firsts) >= 4


def test_smaller_groups_hold_the_first_questions_of_larger_ones() -> None:
    spec = WorldsSpec(kinds=("two_hop",), group_size=8, min_facts=10, max_facts=12, num_groups=15)
    small = spec.model_copy(update={"group_size": 2, "drawn_for": 8})
    for large_group, small_group in zip(make_groups(spec), make_groups(small), strict=True):
        assert small_group.context == large_group.context
        assert small_group.questions == large_group.questions[:2]


def test_groups_do_not_depend_on_how_many_are_made() -> None:
    spec = WorldsSpec(kinds=("look_up",), num_groups=5)
    more = spec.model_copy(update={"num_groups": 9})
    assert list(make_groups(spec)) == list(make_groups(more))[:5]


def test_reversed_order_puts_what_is_needed_last() -> None:
    spec = WorldsSpec(kinds=("two_hop",), order="reversed", group_size=2)
    group = next(make_groups(spec))
    assert group.questions[0].needs == (group.questions[1].id,)


def test_held_out_names_and_wordings_are_disjoint_from_the_seen_ones() -> None:
    assert not set(people("seen")) & set(people("held_out"))
    assert not set(cities("seen")) & set(cities("held_out"))
    for table in (words.STATEMENTS, words.QUESTIONS):
        for entry in table.values():
            assert not set(entry.seen) & set(entry.held_out)


def test_held_out_wordings_use_only_words_of_training() -> None:
    def vocabulary(texts) -> set[str]:
        return {word.strip("?.,'") for text in texts for word in text.replace("'s", " ").split()}

    tables = [*words.STATEMENTS.values(), *words.QUESTIONS.values()]
    seen = vocabulary(text for entry in tables for text in entry.seen)
    assert vocabulary(text for entry in tables for text in entry.held_out) <= seen


def test_an_impossible_spec_says_so() -> None:
    spec = WorldsSpec(kinds=("look_up",), group_size=12, min_facts=4, max_facts=5)
    with pytest.raises(ValueError, match="raise max_facts or lower group_size"):
        list(make_groups(spec))
