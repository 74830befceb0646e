"""The stage of paraphrases: what is drawn, kept and counted, what it costs, and what does not matter."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fakes import Clock, FakeDecoder, Words, group_of

from branchwise.cells import staging
from branchwise.cells.asker import Asker, asker_of
from branchwise.cells.paraphrasing import Paraphrasing, paraphrasing
from branchwise.cells.staging import Kept, find_alone, find_at_once
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Request
from branchwise.stages import GroupParaphrases
from branchwise.trace import Tokens
from branchwise.wordings.entries import GeneratedEntry

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop",), group_size=2, num_groups=5)))
GROUP = group_of(1)


class Sharing(Words):
    """Words that know how many of a prompt's are shown to every question."""

    def shared_ids(self, shown, form: str) -> list[int]:
        return self.prompt(shown, form)[1]

    num_shared = ChatTokenizer.num_shared


def nothing(done: int, total: int) -> None:
    """Progress that nobody sees."""


def by_hand(says: Callable[[Request], str], **entry) -> tuple[Paraphrasing, FakeDecoder]:
    chat = Sharing()
    decoder = FakeDecoder(says, chat=chat)
    made = GeneratedEntry(kind="generated", **entry)
    return Paraphrasing("mine", made, Asker(decoder, chat), "en"), decoder


def in_turn(*replies: str) -> Callable[[Request], str]:
    left = iter(replies)
    return lambda request: next(left)


def test_each_reason_is_counted_and_drawn_again() -> None:
    """Three rounds, twice each at most: a copy, nothing, one to keep; then a duplicate and an answer."""
    finder, decoder = by_hand(
        in_turn("What is 1?", "", "Tell me of 1", "tell me of 1", "And what is a1?"), number=3, attempts=2
    )
    row = find_alone(GROUP, finder)
    (found,) = row.questions
    assert found.kept == ("Tell me of 1",)
    assert found.dropped == {
        "copy_of_question": 1,
        "empty": 1,
        "duplicate": 1,
        "answer_changed": 1,
    }
    assert (found.missing, row.group, row.generator) == (2, "g", "mine")
    assert row.counts() == {"kept": 1, "missing": 2, "cut_off": 0, **found.dropped}
    assert len(decoder.heard) == 5


def test_what_is_missing_is_drawn_in_its_own_round_until_the_attempts_are_used_up() -> None:
    finder, decoder = by_hand(lambda request: "", number=2, attempts=3)
    (found,) = find_alone(GROUP, finder).questions
    assert (found.kept, found.missing, found.dropped) == ((), 2, {"empty": 6})
    assert len(decoder.heard) == 6


def test_the_budget_and_what_it_cuts_off() -> None:
    finder, decoder = by_hand(in_turn("One two three", "One two"), number=2, max_new_tokens=3)
    (found,) = find_alone(GROUP, finder).questions
    assert decoder.heard == [("g", 3)] * 2
    assert (found.kept, found.cut_off) == (("One two three", "One two"), 1)


def test_a_question_that_does_not_fit_is_counted_and_asked_nothing() -> None:
    finder, decoder = by_hand(lambda request: "Say", number=2)
    decoder.max_context = 50
    row = find_alone(GROUP, finder)
    assert (row.questions[0].dropped, row.questions[0].missing) == ({"too_long": 2}, 2)
    assert (decoder.heard, row.tokens.sent, row.forward_passes) == ([], 0, 0)


def test_the_ledger_of_a_group_and_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rounds of one word for one question, and the same for three: a quarter of 2 s, and the rest."""
    clock = Clock()
    clock.install(monkeypatch, staging)
    replies = iter(f"Reply{number}" for number in range(100))
    finder, decoder = by_hand(lambda request: next(replies), number=2)
    decoder.clock, decoder.seconds = clock, 2.0
    sent: list[int] = []
    submit = decoder.submit
    decoder.submit = lambda request: (sent.append(len(request.prompt_ids)), submit(request))[1]
    one, three = group_of(1, "one"), group_of(3, "three")
    rows = find_at_once([one, three], finder, Kept(GroupParaphrases), nothing, 8)
    asked = sent[2:]  # the first group once before
    assert len(asked) == 8
    assert rows[0].tokens == Tokens(
        sent=sum(asked[:2]), unique=sum(asked[:2]) - 2, cached=2, generated=2, padding=4
    )
    assert [row.forward_passes for row in rows] == [1, 1]
    computed = [row.tokens.unique + row.tokens.generated + row.tokens.padding for row in rows]
    assert [row.wall_s for row in rows] == pytest.approx([2 * part / sum(computed) for part in computed])


def test_what_all_questions_are_shown_is_shared() -> None:
    shared: list[tuple[int, int]] = []
    finder, decoder = by_hand(lambda request: "Say it", number=2, attempts=1)
    submit = decoder.submit
    decoder.submit = lambda one: (shared.append((one.num_shared, len(one.prompt_ids))), submit(one))[1]
    find_alone(GROUP, finder)
    assert all(0 < few < whole for few, whole in shared)


def test_flights_hold_so_many_groups_and_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = iter(f"Reply{number}" for number in range(1000))
    groups = [group_of(2, name) for name in "abcde"]
    for most, asks, expected in ((2, 1000, 2), (8, 12, 3), (8, 1, 1)):
        finder, decoder = by_hand(lambda request: next(replies), number=2)
        monkeypatch.setattr(staging, "MOST_ASKS", asks)
        find_at_once(groups, finder, Kept(GroupParaphrases), nothing, most)
        assert decoder.most_at_once == expected


def test_a_stopped_stage_asks_only_what_is_not_known(tmp_path: Path) -> None:
    replies = iter(f"Reply{number}" for number in range(1000))
    groups = [group_of(1, name) for name in "abc"]
    seen: list[tuple[int, int]] = []

    def found(groups: list[Group], identity: str = "i") -> tuple[list[GroupParaphrases], list[str]]:
        finder, decoder = by_hand(lambda request: next(replies), number=1)
        kept = Kept(GroupParaphrases, tmp_path / "journal.jsonl", identity)
        rows = find_at_once(groups, finder, kept, lambda *done: seen.append(done), 1)
        return rows, [name for name, _ in decoder.heard]

    first, asked = found(groups[:2])
    assert asked == ["a", "a", "b"]
    again, asked = found(groups)
    assert asked == ["c", "c"]
    assert again[:2] == first
    assert seen == [(0, 2), (1, 2), (2, 2), (2, 3), (3, 3)]
    assert found(groups, "another")[1] == ["a", "a", "b", "c"]


# ----- on a model -----


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def drawn(source: ModelSource, groups: list[Group], most: int = 8, **entry) -> dict[str, object]:
    made = GeneratedEntry(kind="generated", number=2, max_new_tokens=6, **entry)
    finder = paraphrasing("mine", made, asker_of(source), "en")
    rows = find_at_once(groups, finder, Kept(GroupParaphrases), nothing, most)
    return {row.group: row.questions for row in rows}


def test_other_groups_in_flight_and_their_order_change_nothing(source: ModelSource) -> None:
    alone = drawn(source, GROUPS, 1)
    assert drawn(source, GROUPS[::-1], 8) == alone
    assert drawn(source, GROUPS[2:3], 8) == {GROUPS[2].id: alone[GROUPS[2].id]}
    assert drawn(source, GROUPS, 8, seed=1) != alone
    kept = [one.kept for questions in alone.values() for one in questions]
    assert len(set(kept)) == len(kept)


def test_in_the_turns_of_a_chat_model(source: ModelSource) -> None:
    chat = drawn(source, GROUPS[:1], form="chat")
    assert chat != drawn(source, GROUPS[:1])
    assert all(one.kept for one in chat[GROUPS[0].id])
