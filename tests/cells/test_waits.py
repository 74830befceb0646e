"""What an ask waited for is seen, also where a strategy says nothing of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from branchwise.api import TreeDecoder
from branchwise.cells.runner import GroupRunner, Timed
from branchwise.cells.waits import Waits
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import load_model
from branchwise.decoding.reference import HFDecoder
from branchwise.prompts import PromptStyle, assistant, single, turn
from branchwise.strategies.base import Answered, Desk, answered
from branchwise.trace import closure, ideal_latency_s

GROUP = next(make_groups(WorldsSpec(kinds=("look_up",), group_size=4, num_groups=1)))


@pytest.fixture(scope="module")
def loaded(root):
    return load_model(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))


@pytest.fixture(scope="module", params=[TreeDecoder, HFDecoder])
def decoder(request, loaded):
    return request.param(loaded.model, loaded.chat.tokenizer)


def run(loaded, decoder, strategy) -> Timed:
    return GroupRunner(strategy, decoder, loaded.chat, PromptStyle(), 6).once(GROUP)


def one(group: Group, desk: Desk, number: int):
    question = group.questions[number]
    return desk.ask(single(group, question, desk.style), [question])


async def in_a_row(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Waits, and reads nothing."""
    for number, question in enumerate(group):
        yield answered(question, await one(group, desk, number), desk.style)


async def conversation(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    chat = []
    for question in group:
        chat += [turn(question)] if chat else single(group, question, desk.style)
        reply = await desk.ask(chat, [question])
        chat.append(assistant(reply.text))
        yield answered(question, reply, desk.style)


async def layered(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """A barrier between two gathers: nothing is read before both are over."""
    first = await asyncio.gather(one(group, desk, 0), one(group, desk, 1))
    second = await asyncio.gather(one(group, desk, 2), one(group, desk, 3))
    for question, reply in zip(group, (*first, *second), strict=True):
        yield answered(question, reply, desk.style)


async def after_an_event(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Another task's end is heard of through an event, and its reply is never seen."""
    done = asyncio.Event()

    async def first():
        reply = await one(group, desk, 0)
        done.set()
        return reply

    async def second(number: int):
        await done.wait()
        return await one(group, desk, number)

    replies = await asyncio.gather(first(), second(1), second(2), second(3))
    for question, reply in zip(group, replies, strict=True):
        yield answered(question, reply, desk.style)


async def streaming(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """Three at once; the fourth waits for the first of them alone."""
    tasks = [asyncio.create_task(one(group, desk, number)) for number in range(3)]

    async def last():
        assert (await tasks[0]).text is not None
        return await one(group, desk, 3)

    replies = await asyncio.gather(*tasks, last())
    for question, reply in zip(group, replies, strict=True):
        yield answered(question, reply, desk.style)


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (in_a_row, [set(), {0}, {0, 1}, {0, 1, 2}]),
        (conversation, [set(), {0}, {0, 1}, {0, 1, 2}]),
        (after_an_event, [set(), {0}, {0}, {0}]),
        (streaming, [set(), set(), set(), {0}]),
    ],
)
def test_waits_are_seen(loaded, decoder, strategy, waits: list[set[int]]) -> None:
    """The ideal latency was 24 ms where 101 was right."""
    asks = run(loaded, decoder, strategy).trace.asks
    after = {number: ask.after for number, ask in enumerate(asks)}
    assert [closure(after, ask.after) for ask in asks] == waits
    chain = sum(asks[n].duration_s for n in (0, 3))
    assert ideal_latency_s(asks) >= (chain if waits[3] else 0)


def test_a_barrier_is_seen(loaded, decoder) -> None:
    """What started the second half is whatever ended last of the first."""
    asks = run(loaded, decoder, layered).trace.asks
    ends = [ask.end_s for ask in asks[:2]]
    last = ends.index(max(ends))
    for ask in asks[2:]:
        assert last in ask.after or isinstance(decoder, HFDecoder)
        assert ask.after
    slowest = max(ask.duration_s for ask in asks[:2])
    assert ideal_latency_s(asks) == pytest.approx(slowest + max(a.duration_s for a in asks[2:]))


def test_direct_waits_alone_are_kept() -> None:
    waits = Waits()
    for number in range(4):
        assert waits.begins(number, ()) == ((number - 1,) if number else ())
        waits.ended(number, number)


def test_side_by_side_waits_for_nothing() -> None:
    waits = Waits()
    assert [waits.begins(number, ()) for number in range(3)] == [(), (), ()]
