"""Every question on its own, all at the same time, with the hidden states of their branches mixed.

Published as `collab_hidden` (cross-batch attention). How states are mixed is the checkpoint's business;
the questions of a group mix with each other and with nothing else.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace
from zlib import crc32

from branchwise.data.types import Group
from branchwise.prompts import single
from branchwise.strategies.base import Answered, Desk, answered


async def strategy(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """As many asks as questions, in lockstep: each token of a branch is computed beside those of the
    others that have not ended.
    """
    # The config reads strategies without torch, which this needs.
    from branchwise.decoding.requests import together

    # Controls draw by it, so that a group's answers do not depend on which others are asked.
    mix = together(len(group), mixes=True, seed=crc32(group.id.encode()))
    asks = (
        desk.ask(
            single(group, question, desk.style),
            [question],
            rules=replace(desk.rules([question]), hooks=(mix,)),
        )
        for question in group
    )
    for question, reply in zip(group, await gather(*asks), strict=True):
        yield answered(question, reply, desk.style)
