"""In the order of dependencies, by visibility: a question's branch sees the branches that it needs.

What was asked and answered there is not written out again: the later question is the next turn of a
conversation that only its branch can see. With several needs the branches are joined.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import check_acyclic
from branchwise.prompts import single, turn
from branchwise.strategies.base import Answered, Desk, Reply, answered

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """A branch a question, let go of when nobody needs it any more. What neither needs nor is needed is
    asked plainly, so that without dependencies this is `batch`.
    """
    check_acyclic(group)
    by_id = {question.id: question for question in group}
    tasks: dict[str, asyncio.Task[tuple[Branch | None, Reply]]] = {}
    waiting = Counter(name for question in group for name in question.needs)

    async def answer(question: Question) -> "tuple[Branch | None, Reply]":
        needed = [(name, *(await tasks[name])) for name in question.needs]
        if not needed and not waiting[question.id]:
            return None, await desk.ask(single(group, question, desk.style), [question])
        if needed:
            # Behind the last that it sees, as the next turn of that conversation.
            before = single(group, by_id[needed[-1][0]], desk.style)
            text = desk.next_turn(before, [turn(question, desk.style)])
            branches = [branch for _, branch, _ in needed if branch is not None]
            branch = desk.join(branches, text) if len(needed) > 1 else desk.fork(branches[0], [text])[0]
        else:
            branch = desk.open(single(group, question, desk.style))
        reply = await desk.generate(branch, [question])
        for name, seen, _ in needed:
            waiting[name] -= 1
            if seen is not None and not waiting[name]:
                desk.release(seen)
        if not waiting[question.id]:
            desk.release(branch)
        return branch, reply

    for question in group:
        tasks[question.id] = asyncio.create_task(answer(question))
    for question, (_, reply) in zip(group, await asyncio.gather(*tasks.values()), strict=True):
        yield answered(question, reply, desk.style)
