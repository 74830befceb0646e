"""The questions of a group as branches of one context: forked where their prompts part, answered at once.

With positions by path this is `batch` under another name, token for token. What is else needs a decoder
with other positions (`grid2d`), a model that was trained for them, or branches that peek at each other
(as the published mask of 2D-RoPE branches lets them, and as Group Think proposes).
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from pydantic import Field

from branchwise.data.types import Group
from branchwise.decoding.options import Layout
from branchwise.prompts import single
from branchwise.prompts.wordings import trunk_and_rests
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, answered


class Options(Record):
    """Where the branches stand, and whether they see each other."""

    peek: bool = Field(
        False,
        description="Whether each branch sees what stands at earlier positions in the others. (All of "
        "them go on one token a pass; their questions have to end together: `positions: shared`.)",
    )
    positions: Layout | None = Field(
        None,
        description="path: all begin at the same place; shared: all questions end at the same place; "
        "consecutive: one after another; null: as the decoder's entry says.",
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """One fork, all of whose branches generate at the same time."""
    messages = [single(group, question, desk.style) for question in group]
    trunk, rests = trunk_and_rests([desk.prompt_ids(one) for one in messages])
    forked = desk.fork(desk.open(trunk, like=messages[0]), rests, options.positions)
    hooks = _peeking(len(forked)) if options.peek else ()
    asks = (
        desk.generate(branch, [question], rules=replace(desk.rules([question]), hooks=hooks))
        for branch, question in zip(forked, group, strict=True)
    )
    # Held to the end: whoever peeks sees those that have ended, too.
    for question, reply in zip(group, await gather(*asks), strict=True):
        yield answered(question, reply, desk.style)


def _peeking(number: int) -> tuple[Any, ...]:
    # The config reads strategies without torch, which this needs.
    from branchwise.decoding.requests import together

    return (together(number, peeks=True),)
