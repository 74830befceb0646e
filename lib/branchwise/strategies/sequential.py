"""Turn by turn: each question sees all earlier questions and answers."""

from collections.abc import AsyncIterator

from branchwise.data.types import Group
from branchwise.prompts import Message, assistant, first_turn, turn
from branchwise.strategies.base import Answered, Desk, answered


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """One growing conversation; what the model said stays in it word for word."""
    chat: list[Message] = []
    for question in group:
        chat += [turn(question, desk.style)] if chat else first_turn(group, question, desk.style)
        reply = await desk.ask(chat, [question])
        chat = [*chat, assistant(reply.text)]
        yield answered(question, reply, desk.style)
