"""In the order of dependencies, layer by layer: the published behaviour, a barrier after each layer."""

import asyncio
from collections.abc import AsyncIterator

from branchwise.data.types import Group
from branchwise.dependencies.graph import layers
from branchwise.strategies.base import Answered, Desk, Reply, answered
from branchwise.strategies.collab import ask_knowing


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """The prompts of `collab`; a layer starts when the whole layer before it is done."""
    by_id = {question.id: question for question in group}
    replies: dict[str, Reply] = {}
    before: list[Reply] = []
    for layer in layers(group):
        questions = [by_id[name] for name in layer]
        known = [[(by_id[name], replies[name]) for name in q.needs] for q in questions]
        asks = (ask_knowing(group, desk, q, k, before) for q, k in zip(questions, known, strict=True))
        before = list(await asyncio.gather(*asks))
        replies |= zip(layer, before, strict=True)
    for question in group:
        yield answered(question, replies[question.id], desk.style)
