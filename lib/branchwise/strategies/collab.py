"""In the order of dependencies: each question waits for the answers that it needs.

An answer reaches a later question as text in its prompt ("Known: ..."), as published. With `wait: needs`
no question waits for more: it starts in the step after the last answer that it needs is known. With
`wait: layers`, the published behaviour, a layer starts when the whole one before it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import check_acyclic, layers
from branchwise.prompts import reading_of, single
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, Reply, answered


class Options(Record):
    """How long a question waits."""

    wait: Literal["needs", "layers"] = Field(
        "needs",
        description="needs: for exactly the answers that it needs; layers: for the whole layer before "
        "its own, as published.",
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """One ask a question; with no dependencies all start at once, which is `batch`."""
    check_acyclic(group)
    ask_all = _by_layers if options.wait == "layers" else _as_known
    replies = await ask_all(group, desk)
    for question in group:
        yield answered(question, replies[question.id], desk.style)


async def _as_known(group: Group, desk: Desk) -> dict[str, Reply]:
    by_id = {question.id: question for question in group}
    tasks: dict[str, asyncio.Task[Reply]] = {}

    async def reply_to(question: Question) -> Reply:
        known = [(by_id[name], await tasks[name]) for name in question.needs]
        return await _ask_knowing(group, desk, question, known)

    for question in group:
        tasks[question.id] = asyncio.create_task(reply_to(question))
    return dict(zip(tasks, await asyncio.gather(*tasks.values()), strict=True))


async def _by_layers(group: Group, desk: Desk) -> dict[str, Reply]:
    by_id = {question.id: question for question in group}
    replies: dict[str, Reply] = {}
    before: list[Reply] = []
    for layer in layers(group):
        known = [[(by_id[name], replies[name]) for name in by_id[q].needs] for q in layer]
        asks = (_ask_knowing(group, desk, by_id[q], k, before) for q, k in zip(layer, known, strict=True))
        before = list(await asyncio.gather(*asks))
        replies |= zip(layer, before, strict=True)
    return replies


async def _ask_knowing(
    group: Group,
    desk: Desk,
    question: Question,
    known: Sequence[tuple[Question, Reply]],
    after: Sequence[Reply] = (),
) -> Reply:
    """Ask a question whose prompt holds earlier questions with their answers."""
    style = desk.style
    texts = [(q, reading_of(reply.text, q, style).answer) for q, reply in known]
    # Without any dependency in the group nothing is ever known, and the prompts are those of `batch`.
    shown = texts if any(one.needs for one in group) else None
    return await desk.ask(single(group, question, style, shown), [question], after=after)
