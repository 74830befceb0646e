"""A group asked of a decoder that is known by hand: clocks, passes, shares of the ledger, refusals."""

import gc
from collections.abc import AsyncIterator

import pytest
from tests.fakes import Clock, FakeDecoder, Words, group_of

from branchwise.cells.asks import Asked
from branchwise.cells.runner import Done, GroupRunner, record_of
from branchwise.data.types import Group
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, Reading, single
from branchwise.results import GroupDependencies, Tokens
from branchwise.strategies import Answered, load
from branchwise.strategies.base import Desk, answered

GROUP = group_of(3)


def runner_of(strategy, decoder: FakeDecoder, budget: int = 8, others=None) -> GroupRunner:
    return GroupRunner(strategy, decoder, decoder.chat, PromptStyle(), budget, None, others or {})


def recorded(strategy, decoder: FakeDecoder, budget: int = 8, others=None, before=(), group=GROUP):
    said: list[str] = []
    done = runner_of(strategy, decoder, budget, others).once(group)
    return record_of(group, done, said.append, before), said, done


# ----- the clock -----


def test_wall_and_cpu_time_of_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four steps, one after another, of 2 s each: 6 s for three turns, half of it CPU time."""
    clock = Clock()
    clock.install(monkeypatch)
    timed = runner_of(load("sequential"), FakeDecoder(clock=clock, seconds=2)).once(GROUP)
    assert (timed.wall_s, timed.cpu_s, timed.ideal_s) == (6, 3, 6)
    timed = runner_of(load("batch"), FakeDecoder(clock=clock, seconds=2)).once(GROUP)
    assert (timed.wall_s, timed.cpu_s, timed.ideal_s) == (2, 1, 2)
    # On the group's own clock, wherever the machine's stands.
    assert [(ask.start_s, ask.end_s) for ask in timed.trace.asks] == [(0, 2)] * 3


def test_the_clock_stands_between_two_synchronisations_inside_of_what_is_attached() -> None:
    decoder = FakeDecoder()
    seen: list[bool] = []

    def says(request) -> str:
        seen.append(gc.isenabled())
        decoder.log.append("work")
        return "yes"

    decoder.says = says
    runner_of(load("all_in_one"), decoder).once(GROUP)
    assert decoder.log == ["attached", "synchronize", "work", "close g", "synchronize", "detached"]
    assert seen == [False]
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        runner_of(load("batch"), FakeDecoder()).once(GROUP)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_collector_is_on_again_after_an_error() -> None:
    async def broken(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        raise LookupError("a mistake")
        yield

    decoder = FakeDecoder()
    with pytest.raises(LookupError):
        runner_of(broken, decoder).once(GROUP)
    assert gc.isenabled()
    # What the decoder kept for the group is forgotten also then.
    assert decoder.log == ["attached", "synchronize", "close g"]


def test_a_warm_up_asks_everything_for_one_token() -> None:
    decoder = FakeDecoder()
    runner = runner_of(load("batch"), decoder, budget=8)
    runner.warm_up(GROUP)
    assert decoder.heard == [("g", 1)] * 3
    runner.once(GROUP)
    assert decoder.heard[3:] == [("g", 8)] * 3


# ----- the record -----


async def planned(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """A plan of the planner, and answers that waited for it; the last question is left out."""
    plan = await desk.ask([{"role": "user", "content": "Plan."}], role="plan", by="planner")
    assert plan.text
    for question in group.questions[:-1]:
        yield answered(
            question, await desk.ask(single(group, question, desk.style), [question]), desk.style
        )


DEPENDENCIES = GroupDependencies(
    **{"group": "g", "generator": "llm", "candidates": (), "edges": (), "known": None, "wall_s": 1.0},
    tokens=Tokens(sent=30, unique=21, cached=9, generated=6, padding=3),
    forward_passes=5,
)


def test_a_record_by_hand() -> None:
    """An answerer and a planner; ten tokens a prompt, of which one is found."""
    answerer, planner = (
        FakeDecoder(lambda request: "an answer"),
        FakeDecoder(lambda request: "one two three"),
    )
    others = {"planner": Asked(planner, None)}
    record, said, _ = recorded(planned, answerer, others=others, before=(DEPENDENCIES,))
    run = record.run
    assert (run.id, run.num_questions, run.num_asks) == ("g", 3, 3)
    assert said == ["group g: the strategy left 1 questions without an answer"]
    # Three passes of the planner and two of each answer, one after another.
    assert run.forward_passes == 3 + 2 + 2
    assert run.tokens == Tokens(sent=30, unique=27, cached=3, generated=7, padding=6)
    assert run.tokens_by_role == {
        "planner": Tokens(sent=10, unique=9, cached=1, generated=3, padding=2),
        "answerer": Tokens(sent=20, unique=18, cached=2, generated=4, padding=4),
    }
    assert run.dependencies == DEPENDENCIES
    first, second, third = record.answers
    # The dependencies' cost by three; the plan's by the two that waited for it; one's own ask.
    assert (
        first.tokens
        == second.tokens
        == Tokens(
            sent=10 + 5 + 10,
            unique=7 + 4.5 + 9,
            cached=3 + 0.5 + 1,
            generated=2 + 1.5 + 2,
            padding=1 + 1 + 2,
        )
    )
    assert third.tokens == DEPENDENCIES.tokens.share(3)
    assert (first.answer, first.raw, first.asks, first.well_formed) == (
        "an answer",
        "an answer",
        (1,),
        True,
    )
    assert (third.answer, third.raw, third.asks, third.well_formed) == ("", "", (), False)
    assert (third.start_s, third.end_s) == (0, 0)
    assert (first.group, first.question, first.text, first.kind) == ("g", "q1", "What is 1?", "odd")
    assert (first.golds, first.answer_type, first.guess) == (("a1",), "span", None)
    assert [ask.role for ask in record.trace.asks] == ["plan", "answer", "answer"]
    assert [ask.by for ask in record.trace.asks] == ["planner", "answerer", "answerer"]
    assert [ask.after for ask in record.trace.asks] == [(), (0,), (1,)]


def test_an_answer_of_several_asks_lasts_from_the_first_to_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def twice(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        for question in group:
            prompt = single(group, question, desk.style)
            one, other = await desk.ask(prompt, [question]), await desk.ask(prompt, [question])
            yield Answered(question, Reading("x", True), other.text, (one.index, other.index))

    clock = Clock()
    clock.install(monkeypatch)
    record, said, _ = recorded(twice, FakeDecoder(clock=clock))
    assert [(row.start_s, row.end_s) for row in record.answers] == [(0, 2), (2, 4), (4, 6)]
    assert [row.tokens.sent for row in record.answers] == [20, 20, 20]
    assert said == []


def test_an_answer_that_was_cut_is_not_well_formed() -> None:
    cut, _, _ = recorded(load("batch"), FakeDecoder(lambda request: "one two"), budget=2)
    whole, _, _ = recorded(load("batch"), FakeDecoder(lambda request: "one two"), budget=3)
    assert [row.well_formed for row in cut.answers] == [False] * 3
    assert [row.well_formed for row in whole.answers] == [True] * 3
    assert [row.answer for row in cut.answers] == ["one two"] * 3


def test_passes_that_asks_share_count_once() -> None:
    """Three asks of 2, 1 and 3 words in one batch: 3 passes, not 6."""
    replies = iter(["one two", "one", "one two three"])
    record, _, done = recorded(load("batch"), FakeDecoder(lambda request: next(replies)))
    assert (record.run.forward_passes, done.forward_passes) == (3, 3)
    assert [ask.num_steps for ask in record.trace.asks] == [2, 1, 3]


def test_of_a_served_model_each_reply_is_a_pass() -> None:
    decoder = FakeDecoder()
    decoder.device = "remote"  # type: ignore[misc]
    record, _, _ = recorded(load("batch"), decoder)
    assert record.run.forward_passes == 3


# ----- refusals -----


def answers_of(*answers: tuple[int, object]):
    """All questions asked, and then these answers: (number of a question, its asks)."""

    async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        for question in group:
            await desk.ask(single(group, question, desk.style), [question])
        await desk.ask(single(group, group.questions[0], desk.style))
        other = group_of(9).questions
        for number, asks in answers:
            yield Answered(other[number], Reading("x", True), "x", asks)  # type: ignore[arg-type]

    return strategy


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(0, (0,)), (0, (0,))], "answers question q1 twice"),
        ([(7, (0,))], "answers question q8 which it was not asked"),
        ([(0, [0])], r"names asks \[0\] of 4"),
        ([(0, (4,))], r"names asks \(4,\) of 4"),
        ([(0, (-1,))], r"names asks \(-1,\) of 4"),
        ([(0, (0, 1))], "q1 comes from ask 1, which asked q2"),
        ([(0, ())], "q1 comes from no ask that asked it"),
        ([(0, (3,))], "q1 comes from no ask that asked it"),
    ],
)
def test_answers_that_no_ask_made_are_refused(answers, told: str) -> None:
    with pytest.raises(UserError, match=told):
        recorded(answers_of(*answers), FakeDecoder())


def test_an_intermediate_ask_may_be_among_those_that_made_an_answer() -> None:
    record, _, _ = recorded(answers_of((0, (0, 3)), (2, (2,)), (1, (1, 3))), FakeDecoder())
    # In the order of the group, whatever the order of answering.
    assert [row.question for row in record.answers] == ["q1", "q2", "q3"]
    assert [row.asks for row in record.answers] == [(0, 3), (1, 3), (2,)]


def test_tokens_are_told_with_the_questions_that_they_answer() -> None:
    chat = Words()
    heard: list[tuple[str, int]] = []
    decoder = FakeDecoder(lambda request: "a b", chat=chat)
    runner = runner_of(load("batch"), decoder)
    done = runner.once(GROUP, lambda questions, token: heard.append((questions[0].id, token)))
    assert isinstance(done, Done)
    expected = chat.encode("a b")
    assert heard == [(name, token) for name in ("q1", "q2", "q3") for token in expected]
