"""Strategies of one's own: from a file, with options, with asks that answer nothing, on every decoder."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from branchwise.cells.runner import GroupRunner, record_of
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.contract import Verb
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Hook, Request, Rules, TokenCount
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, read_one, single
from branchwise.results import GroupRecord
from branchwise.strategies import load
from branchwise.strategies.base import Answered, Desk, answered
from branchwise.trace import Tokens, ideal_latency_s, question_tokens, total_tokens

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop",), group_size=4, num_groups=2)))

OWN = '''
from pydantic import Field

from branchwise.prompts import single
from branchwise.records import Record
from branchwise.strategies.base import answered


class Options(Record):
    """How many questions are asked at once."""

    at_once: int = Field(2, ge=1, description="Questions at once.")


async def in_pairs(group, desk, options):
    """Plans, then asks some questions at once."""
    from asyncio import gather

    plan = await desk.ask(single(group, group.questions[0], desk.style), role="plan")
    for start in range(0, len(group), options.at_once):
        part = group.questions[start : start + options.at_once]
        replies = await gather(*(desk.ask(single(group, q, desk.style), [q]) for q in part))
        for question, reply in zip(part, replies):
            yield answered(question, reply, desk.style)
'''


class Served:
    """A served model in one file: it reads messages, has no tokens here, and echoes."""

    offers: frozenset[Verb] = frozenset({"ask"})
    max_groups = None
    max_context = 10_000
    notes = ("it echoes",)
    device = "remote"
    kv_cache_bytes = None
    sampling = None
    form = None

    def __init__(self) -> None:
        self.num_forward_passes = 0
        self.queue: list[Request] = []

    def submit(self, request: Request) -> None:
        self.queue.append(request)

    def step(self) -> bool:
        if not self.queue:
            return False
        request, now = self.queue.pop(0), time.perf_counter()
        self.num_forward_passes += 1
        text = request.messages[-1]["content"].splitlines()[-1]
        count = TokenCount(len(text), len(text), 0, 3, 0)
        done = Completion([], "stop", count, now, time.perf_counter(), 1, text)
        request.future.set_result(done)
        return True

    def close(self, group: Any) -> None:
        self.queue = [request for request in self.queue if request.group is not group]

    def attached(self):
        return nullcontext()

    def synchronize(self) -> None:
        pass

    def facts(self) -> dict[str, Any]:
        return {"server": "here"}


class ServedEntry(DecoderSettings):
    """The catalogue entry of `Served`."""

    offers: ClassVar[frozenset[Verb]] = Served.offers
    kind: Literal["served"] = "served"

    def make(self, source: ModelSource, replies: Any = None) -> Any:
        return Served()


ENTRIES = {"tree": TreeEntry(kind="tree"), "hf": HFEntry(kind="hf"), "served": ServedEntry()}


def runner(root: Path, decoder: str, strategy: Any, **more: Any) -> GroupRunner:
    source = ModelSource(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))
    made = ENTRIES[decoder].make(source)
    return GroupRunner(strategy, made, source.chat, PromptStyle(), 6, **more)


def record(root: Path, decoder: str, strategy: Any, warnings: list[str], **more: Any) -> GroupRecord:
    done = runner(root, decoder, strategy, **more).once(GROUPS[0])
    return record_of(GROUPS[0], done, warnings.append)


def check_sums(made: GroupRecord) -> None:
    """Rows sum up to the run, and all of it can be computed again from what is written."""
    again = GroupRecord.model_validate_json(made.model_dump_json())
    assert again == made
    asks = again.trace.asks
    for name in Tokens.model_fields:
        whole = getattr(made.run.tokens, name)
        assert sum(getattr(row.tokens, name) for row in made.answers) == pytest.approx(whole)
        assert getattr(total_tokens(asks), name) == pytest.approx(whole)
        roles = made.run.tokens_by_role.values()
        assert sum(getattr(tokens, name) for tokens in roles) == pytest.approx(whole)
    shares = question_tokens(asks, {row.question: row.asks for row in again.answers})
    assert [shares[row.question] for row in again.answers] == [row.tokens for row in again.answers]
    assert 0 < ideal_latency_s(asks) <= max(ask.end_s for ask in asks)


@pytest.mark.parametrize("decoder", ["tree", "hf", "served"])
@pytest.mark.parametrize("options", [{}, {"at_once": 4}])
def test_a_strategy_of_a_file_runs_on_every_decoder(
    root: Path, tmp_path: Path, decoder: str, options: dict
) -> None:
    (tmp_path / "my.py").write_text(OWN)
    warnings: list[str] = []
    made = record(root, decoder, load(f"{tmp_path}/my.py:in_pairs", options), warnings)
    check_sums(made)
    assert warnings == []
    plan, *rest = made.trace.asks
    assert (plan.role, plan.questions) == ("plan", ())
    assert {ask.role for ask in rest} == {"answer"}
    assert [ask.after for ask in rest[: options.get("at_once", 2)]] == [(0,)] * options.get("at_once", 2)
    assert plan.tokens.sent > 0


async def nothing_but_plans(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Asks, and answers nothing."""
    for question in group:
        await desk.ask(single(group, question, desk.style), role="outline")
    for answer in ():
        yield answer


@pytest.mark.parametrize("decoder", ["tree", "hf", "served"])
def test_asks_that_answer_nothing_are_counted_and_said(root: Path, decoder: str) -> None:
    """A budget of 0, a ZeroDivisionError, or tokens that vanished from answers.jsonl."""
    warnings: list[str] = []
    made = record(root, decoder, nothing_but_plans, warnings)
    check_sums(made)
    assert "left 4 questions without an answer" in warnings[0]
    assert [row.answer for row in made.answers] == [""] * 4
    assert not any(row.well_formed for row in made.answers)
    assert made.run.tokens.sent > 0
    assert [ask.after for ask in made.trace.asks] == [(), (0,), (1,), (2,)]


async def fused(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Two asks make each answer."""
    for question in group:
        prompt = single(group, question, desk.style)
        both = await asyncio.gather(*(desk.ask(prompt, [question]) for _ in range(2)))
        reading = read_one(both[0].text, question, desk.style.answer_format)
        yield Answered(question, reading, both[0].text, tuple(reply.index for reply in both))


def test_a_row_names_all_asks_that_made_it(root: Path) -> None:
    made = record(root, "tree", fused, [])
    check_sums(made)
    assert [row.asks for row in made.answers] == [(0, 1), (2, 3), (4, 5), (6, 7)]
    asks = made.trace.asks
    assert made.answers[1].end_s == max(asks[2].end_s, asks[3].end_s)


async def one_for_all(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    reply = await desk.ask(single(group, group.questions[0], desk.style), group.questions[:1])
    for question in group:
        yield answered(question, reply, desk.style)


async def from_a_plan(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    reply = await desk.ask(single(group, group.questions[0], desk.style))
    for question in group:
        yield answered(question, reply, desk.style)


async def twice(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    question = group.questions[0]
    reply = await desk.ask(single(group, question, desk.style), [question])
    yield answered(question, reply, desk.style)
    yield answered(question, reply, desk.style)


async def of_another_group(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    question = group.questions[0].model_copy(update={"id": "other"})
    reply = await desk.ask(single(group, question, desk.style), [question])
    yield answered(question, reply, desk.style)


async def by_a_bare_number(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    question = group.questions[0]
    reply = await desk.ask(single(group, question, desk.style), [question])
    yield answered(question, reply, desk.style)._replace(asks=0)


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (one_for_all, "the answer to q2 comes from ask 0, which asked q1"),
        (from_a_plan, "the answer to q1 comes from no ask that asked it"),
        (twice, "answers question q1 twice"),
        (of_another_group, "answers question other which it was not asked"),
        (by_a_bare_number, "names asks 0 of 1; give the `index` of every reply that made it, as a tuple"),
    ],
)
def test_an_answer_comes_from_an_ask_of_its_question(root: Path, strategy, told: str) -> None:
    """One ask was given for all: 113 tokens were sent, and the rows summed up to 678."""
    with pytest.raises(UserError, match=told):
        runner(root, "tree", strategy).once(GROUPS[0])


async def of_ids(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Token ids open, fork and join as messages and text do."""
    question = group.questions[0]
    said = []
    for form in ("messages", "text", "ids"):
        prompt: Any = single(group, question, desk.style)
        go_on: Any = "So: "
        if form != "messages":
            prompt = desk.prompt_text(prompt)
        if form == "ids":
            prompt, go_on = desk.chat.encode(prompt), desk.chat.encode(go_on)  # type: ignore[attr-defined]
        root = desk.open(prompt)
        reply = await desk.generate(root, [question])
        joined = desk.join(desk.fork(root, [go_on, go_on]), go_on)
        more = await desk.generate(joined, role="plan")
        said.append((reply.text, more.text))
    assert said[0] == said[1] == said[2], said
    yield answered(question, reply, desk.style)


def test_branches_take_messages_text_and_ids(root: Path) -> None:
    made = record(root, "tree", of_ids, [])
    check_sums(made)
    assert [branch.verb for branch in made.trace.branches[:4]] == ["open", "fork", "fork", "join"]
    assert made.trace.branches[3].parents == (1, 2)
    assert made.trace.asks[1].after == (0,)
    assert made.trace.asks[1].branch == 3


def test_what_finding_dependencies_cost_is_in_the_rows(root: Path) -> None:
    # Error 19: the dependency stage left out of the cost.
    from branchwise.results import GroupDependencies

    tokens = Tokens(sent=510, unique=400, cached=110, generated=20, padding=0)
    facts = {"candidates": (), "edges": (), "known": None, "forward_passes": 3, "wall_s": 0.1}
    found = GroupDependencies(group=GROUPS[0].id, generator="llm", tokens=tokens, **facts)
    made = record_of(GROUPS[0], runner(root, "tree", fused).once(GROUPS[0]), pytest.fail, (found,))
    whole = Tokens.total([made.run.tokens, tokens])
    for name in Tokens.model_fields:
        summed = sum(getattr(row.tokens, name) for row in made.answers)
        assert summed == pytest.approx(getattr(whole, name))


def test_a_verb_that_the_entry_does_not_state_is_refused_on_every_decoder(root: Path) -> None:
    """It ran on the tree, and failed on the next decoder in the middle of a run."""
    with pytest.raises(UserError, match=r"uses fork, which .* write `needs: \[ask, fork\]`"):
        runner(root, "tree", of_ids, needs=frozenset({"ask"})).once(GROUPS[0])

    async def hooked(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        rules = Rules(4, hooks=(Hook(lambda made, logits: logits),))
        reply = await desk.ask(single(group, group.questions[0], desk.style), rules=rules)
        yield answered(group.questions[0], reply, desk.style)

    with pytest.raises(UserError, match="uses hook"):
        runner(root, "tree", hooked, needs=frozenset({"ask"})).once(GROUPS[0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "my.py does not exist"),
        ("x = 1", "my.py has no function strategy"),
        ("async def strategy(group, desk):\n    return []", "returns its answers; write `async def"),
        ("def strategy(group, desk):\n    return []", "is no coroutine"),
        (
            "async def strategy(group):\n    yield 1",
            r"takes \(group\); write `async def strategy\(group, desk\)`",
        ),
        ("async def strategy(group, *, desk):\n    yield 1", r"takes \(group, \*, desk\)"),
        ("raise SystemExit(3)", "my.py cannot be imported: SystemExit"),
        ("import nothing_like_it", "my.py cannot be imported: ModuleNotFoundError"),
        ("1 +", "my.py cannot be imported: SyntaxError"),
    ],
)
def test_mistakes_of_a_file_are_told_when_the_config_is_read(
    tmp_path: Path, text: str | None, told: str
) -> None:
    if text is not None:
        (tmp_path / "my.py").write_text(text)
    with pytest.raises(UserError, match=told):
        load(f"{tmp_path}/my.py")


def test_modules_beside_it_are_found_and_part_of_its_code(tmp_path: Path) -> None:
    from branchwise.config.imports import closure

    (tmp_path / "helping_hand.py").write_text("WORD = 'x'\n")
    (tmp_path / "my.py").write_text(
        "from helping_hand import WORD\n\n\nasync def strategy(group, desk):\n    yield WORD\n"
    )
    assert load(f"{tmp_path}/my.py")
    assert {tmp_path / "my.py", tmp_path / "helping_hand.py"} <= set(closure([tmp_path / "my.py"]))


def test_options_are_a_record(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(
        "class Options:\n    pass\n\n\nasync def strategy(group, desk, options):\n    yield 1\n"
    )
    with pytest.raises(UserError, match=r"Options in .*my.py is no Record"):
        load(f"{tmp_path}/my.py")


def test_options_are_checked(tmp_path: Path) -> None:
    (tmp_path / "my.py").write_text(OWN)
    with pytest.raises(UserError, match="has no option at_onc; it has: at_once"):
        load(f"{tmp_path}/my.py:in_pairs", {"at_onc": 1})
    with pytest.raises(UserError, match="option at_once of strategy .*greater than or equal to 1"):
        load(f"{tmp_path}/my.py:in_pairs", {"at_once": 0})
