"""All questions in one prompt, all answers in one reply."""

from collections.abc import AsyncIterator

from branchwise.data.types import Group
from branchwise.prompts import everything, readings_of
from branchwise.strategies.base import Answered, Desk


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """One ask with as many answer budgets as there are questions."""
    reply = await desk.ask(everything(group, desk.style), group.questions, many=True)
    readings = readings_of(reply.text, group.questions, desk.style)
    for question, reading in zip(group, readings, strict=True):
        yield Answered(question, reading, reply.text, (reply.index,))
