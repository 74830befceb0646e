"""In the order of dependencies, by visibility: a question's branch sees the branches that it needs.

What was asked and answered there is not written out again: the later question is the next turn of a
conversation that only its branch can see. With several needs the branches are joined.
"""

import asyncio
from collections.abc import AsyncIterator

from branchwise.data.types import Group, Question
from branchwise.decoding.branches import Branch
from branchwise.dependencies.graph import check_acyclic
from branchwise.prompts import assistant, single, turn
from branchwise.strategies.base import Answered, Desk, Reply, answered


def next_turn(group: Group, desk: Desk, earlier: Question, reply: Reply, question: Question) -> str:
    """What the chat template writes between an answer and the model's next turn."""
    opening = single(group, earlier, desk.style)
    whole = desk.prompt_text([*opening, assistant(reply.text), turn(question)])
    return whole.removeprefix(desk.prompt_text(opening) + reply.text)


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """A branch a question; with no dependencies each is a prompt of its own, which is `batch`."""
    check_acyclic(group)
    by_id = {question.id: question for question in group}
    tasks: dict[str, asyncio.Task[tuple[Branch, Reply]]] = {}

    async def answer(question: Question) -> tuple[Branch, Reply]:
        needed = [(by_id[name], *(await tasks[name])) for name in question.needs]
        if not needed:
            branch = desk.open(single(group, question, desk.style))
        else:
            last, _, reply = needed[-1]
            text = next_turn(group, desk, last, reply, question)
            branches = [branch for _, branch, _ in needed]
            branch = desk.join(branches, text) if len(needed) > 1 else desk.fork(branches[0], [text])[0]
        return branch, await desk.generate(branch, [question], after=[r for _, _, r in needed])

    for question in group:
        tasks[question.id] = asyncio.create_task(answer(question))
    for question, (_, reply) in zip(group, await asyncio.gather(*tasks.values()), strict=True):
        yield answered(question, reply, desk.style)
