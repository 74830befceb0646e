"""Every question on its own, all at the same time."""

from asyncio import gather
from collections.abc import AsyncIterator

from branchwise.data.types import Group
from branchwise.prompts import single
from branchwise.strategies.base import Answered, Desk, answered


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """As many asks as questions, none waiting for another."""
    asks = (desk.ask(single(group, question, desk.style), [question]) for question in group)
    for question, reply in zip(group, await gather(*asks), strict=True):
        yield answered(question, reply, desk.style)
