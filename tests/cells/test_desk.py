"""What a strategy may ask at its desk, what it gets, and what the trace says of it."""

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest
from tests.fakes import FakeDecoder, Words, group_of

from branchwise.cells.asks import Asked
from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Completion, Hook, Rules, Sampling, TokenCount
from branchwise.errors import DoesNotFit, UserError
from branchwise.prompts import PromptStyle, single
from branchwise.strategies.base import Desk

GROUP = group_of(3)
HELLO = [{"role": "user", "content": "Say a word"}]


def at_desk(decoder, script, budget: int = 5, needs=None, others=None) -> GroupDesk:
    """The desk after a script at it."""
    desk = GroupDesk(GROUP, decoder, decoder.chat, PromptStyle(), budget, None, needs, others or {})
    run(script(desk), decoder.step)
    return desk


def test_a_prompt_has_a_budget_for_each_question_that_it_asks() -> None:
    """Error 11: all answers of a prompt shared one answer's budget."""
    decoder = FakeDecoder()

    async def script(desk: Desk) -> None:
        await desk.ask(HELLO, GROUP.questions)
        await desk.ask(HELLO, GROUP.questions[:1])
        await desk.ask(HELLO)
        await desk.ask(HELLO, GROUP.questions, rules=Rules(7))

    at_desk(decoder, script)
    assert [budget for _, budget in decoder.heard] == [15, 5, 5, 7]


def test_what_was_asked_is_in_the_trace() -> None:
    chat = Words()
    decoder = FakeDecoder(lambda request: "a word", chat=chat)

    async def script(desk: Desk) -> None:
        first = await desk.ask(HELLO)
        reply = await desk.ask(HELLO, GROUP.questions[:2], after=[first])
        assert (reply.text, reply.ids, reply.index) == ("a word", tuple(chat.encode("a word")), 1)
        await desk.ask(HELLO, GROUP.questions[2:], role="outline", by="nobody")

    trace = at_desk(decoder, script).trace(begin_s=90.0)
    assert trace.group == "g"
    assert [ask.role for ask in trace.asks] == ["intermediate", "answer", "outline"]
    # A role that names no model is the answerer.
    assert [ask.by for ask in trace.asks] == ["answerer"] * 3
    assert [ask.questions for ask in trace.asks] == [(), ("q1", "q2"), ("q3",)]
    assert [ask.after for ask in trace.asks] == [(), (0,), (1,)]
    first = trace.asks[0]
    assert (first.prompt, first.raw, first.stop) == ("user: Say a word", "a word", "stop")
    assert first.messages == tuple(HELLO)
    assert first.tokens.model_dump() == {
        **{"sent": 4, "unique": 3, "cached": 1, "generated": 2, "padding": 2}
    }
    assert (first.start_s, first.end_s, first.num_steps, first.branch) == (10, 11, 2, None)


def test_a_role_has_its_own_model() -> None:
    answerer, planner = FakeDecoder(lambda request: "answer"), FakeDecoder(lambda request: "plan")

    async def script(desk: Desk) -> None:
        assert (await desk.ask(HELLO, by="planner")).text == "plan"
        assert (await desk.ask(HELLO)).text == "answer"

    desk = GroupDesk(GROUP, answerer, None, PromptStyle(), 5, others={"planner": Asked(planner, None)})
    run(script(desk), lambda: any([answerer.step(), planner.step()]))
    assert [ask.by for ask in desk.trace(0).asks] == ["planner", "answerer"]
    assert desk.num_forward_passes == 2


def test_a_prompt_may_fill_the_context_to_the_last_token() -> None:
    """Four tokens and a budget of five: nine fit, ten do not."""

    async def script(desk: Desk) -> None:
        await desk.ask(HELLO)

    at_desk(FakeDecoder(chat=Words(), max_context=9), script)
    with pytest.raises(DoesNotFit, match="a prompt of 4 tokens and 5 new ones exceed .* context of 8"):
        at_desk(FakeDecoder(chat=Words(), max_context=8), script)


def test_an_ask_that_failed_and_was_passed_over_is_told() -> None:
    """Its cost would be missing from the ledger."""

    decoder = FakeDecoder()

    def step() -> bool:
        decoder.queue.pop().future.set_exception(LookupError("no reply"))
        return True

    async def script(desk: Desk) -> None:
        with pytest.raises(LookupError):
            await desk.ask(HELLO)

    decoder.step = step  # type: ignore[method-assign]
    desk = at_desk(decoder, script)
    with pytest.raises(RuntimeError, match="group g: an ask has no answer"):
        _ = desk.asks


def test_verbs_and_hooks_that_the_entry_does_not_state_are_refused() -> None:
    hooked = Rules(5, hooks=(Hook(lambda made, logits: logits),))

    async def hooking(desk: Desk) -> None:
        await desk.ask(HELLO, rules=hooked)

    async def sampling(desk: Desk) -> None:
        await desk.ask(HELLO, rules=Rules(5, Sampling(1.0), stop_texts=("\n",)))

    with pytest.raises(UserError, match="uses hook, which its catalogue entry does not state"):
        at_desk(FakeDecoder(), hooking, needs=frozenset({"ask"}))
    at_desk(FakeDecoder(), hooking, needs=frozenset({"ask", "hook"}))
    at_desk(FakeDecoder(), hooking, needs=None)
    # What every decoder can do needs no verb.
    at_desk(FakeDecoder(), sampling, needs=frozenset({"ask"}))

    async def forking(desk: GroupDesk) -> None:
        desk.open("a b")

    with pytest.raises(UserError, match="needs fork, which the decoder does not offer"):
        at_desk(FakeDecoder(chat=Words()), forking)
    with pytest.raises(UserError, match="uses fork, which its catalogue entry does not state"):
        at_desk(Branching(), forking, needs=frozenset({"ask"}))
    with pytest.raises(UserError, match="a served model has no tokenizer here"):
        at_desk(FakeDecoder(), forking)


class Branching(FakeDecoder):
    """With branches: each is the list of its ids, and what it is asked is answered at once."""

    offers = frozenset({"ask", "fork", "join"})

    def __init__(self) -> None:
        super().__init__(chat=Words(), max_context=12)
        self.released: list = []

    def open(self, ids, group, num_shared=0):
        return _branch(ids)

    def fork(self, branch, runs, positions=None):
        return [_branch([*branch.token_ids, *run]) for run in runs]

    def join(self, branches, ids):
        return _branch([token for branch in branches for token in branch.token_ids] + ids)

    def release(self, branch) -> None:
        self.released.append(branch)

    async def generate(self, branch, rules, on_token):
        self.num_forward_passes += 1
        self.heard.append(("branch", rules.max_new_tokens))
        tokens = TokenCount(branch.num_tokens, 1, branch.num_tokens - 1, 1, 0)
        return Completion([0], "stop", tokens, 1.0, 2.0, 1, "so")


def _branch(ids):
    return Node(list(ids))


class Node(SimpleNamespace):
    """Equal to itself alone."""

    def __init__(self, ids) -> None:
        super().__init__(token_ids=ids, num_tokens=len(ids), end=len(ids))

    __hash__ = object.__hash__

    def __eq__(self, other) -> bool:
        return self is other


def test_branches_are_in_the_trace_with_what_they_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    from branchwise.cells import desk as desk_module

    monkeypatch.setattr(
        desk_module, "continuation_ids_of", lambda tokenizer, text: tokenizer.encode(text)
    )
    decoder = Branching()

    async def script(desk: GroupDesk) -> None:
        root = desk.open(HELLO)
        left, right = desk.fork(root, ["left way", [0]])
        first = await desk.generate(left, GROUP.questions[:1])
        other = desk.open("a b")
        await desk.generate(right, GROUP.questions[1:2], role="guess", after=[first])
        joined = desk.join([left, other], "so")
        await desk.generate(joined, GROUP.questions[2:])
        desk.release(joined)
        assert decoder.released == [joined]
        desk.open([1, 2])

    trace = at_desk(decoder, script, budget=3).trace(0)
    assert [(b.verb, b.parents) for b in trace.branches] == [
        ("open", ()),
        ("fork", (0,)),
        ("fork", (0,)),
        ("open", ()),
        ("join", (1, 3)),
        ("open", ()),
    ]
    assert [b.text for b in trace.branches] == [
        "user: Say a word",
        "left way",
        "user:",
        "a b",
        "so",
        "Say a",
    ]
    assert [b.messages is not None for b in trace.branches] == [True, *[False] * 5]
    assert [ask.branch for ask in trace.asks] == [1, 2, 4]
    assert [ask.role for ask in trace.asks] == ["answer", "guess", "answer"]
    assert trace.asks[0].prompt == "user: Say a word left way"
    # A joined branch saw what its parents had said: the first ask, not the second one, which it follows.
    assert 0 in trace.asks[1].after
    assert [budget for _, budget in decoder.heard] == [3, 3, 3]


def test_a_branch_too_long_for_the_context_is_refused() -> None:
    async def script(desk: GroupDesk) -> None:
        branch = desk.open("a b c d e f g h")
        await desk.generate(branch)

    at_desk(Branching(), script, budget=4)
    with pytest.raises(DoesNotFit, match="a prompt of 8 tokens and 5 new ones"):
        at_desk(Branching(), script, budget=5)


def test_what_may_still_come_behind_a_branch() -> None:
    async def script(desk: GroupDesk) -> None:
        branch = desk.open("a b c d")
        assert desk.room(branch) == desk.decoder.max_context - 4
        await desk.generate(branch, rules=Rules(desk.room(branch)))
        with pytest.raises(DoesNotFit):
            await desk.generate(branch, rules=Rules(desk.room(branch) + 1))

    at_desk(Branching(), script)


def test_prompts_are_shown_as_the_model_reads_them() -> None:
    seen: list[str] = []

    async def strategy(group: Group, desk: Desk) -> AsyncIterator[None]:
        seen.append(desk.prompt_text(single(group, group.questions[0], desk.style)))
        yield None

    desk = GroupDesk(GROUP, FakeDecoder(), Words(), PromptStyle(), 5)  # type: ignore[arg-type]
    run(anext(strategy(GROUP, desk)), lambda: False)  # type: ignore[arg-type]
    assert seen == [
        "system: Answer from the text. Give only the answer. user: A text.\nQuestion: What is 1?"
    ]
    assert desk.label == "g"
