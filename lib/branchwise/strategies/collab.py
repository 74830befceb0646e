"""In the order of dependencies: each question waits for exactly the answers that it needs.

An answer reaches a later question as text in its prompt ("Known: ..."), as published. No question
waits for a layer: it starts in the step after the last answer that it needs is known.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence

from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import check_acyclic
from branchwise.prompts import read_one, single
from branchwise.strategies.base import Answered, Desk, Reply, answered


async def ask_knowing(
    group: Group,
    desk: Desk,
    question: Question,
    known: list[tuple[Question, Reply]],
    after: Sequence[Reply],
) -> Reply:
    """Ask a question whose prompt holds earlier questions with their answers; `after` are the replies
    that it waited for.
    """
    style = desk.style
    texts = [(q, read_one(reply.text, q, style.answer_format).answer) for q, reply in known]
    prompt = single(group, question, style, texts)
    return await desk.ask(prompt, [question], after=after)


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """One ask a question; with no dependencies all start at once, which is `batch`."""
    check_acyclic(group)
    by_id = {question.id: question for question in group}
    tasks: dict[str, asyncio.Task[Reply]] = {}

    async def reply_to(question: Question) -> Reply:
        known = [(by_id[name], await tasks[name]) for name in question.needs]
        return await ask_knowing(group, desk, question, known, [reply for _, reply in known])

    for question in group:
        tasks[question.id] = asyncio.create_task(reply_to(question))
    for question, reply in zip(group, await asyncio.gather(*tasks.values()), strict=True):
        yield answered(question, reply, desk.style)
