"""Parallel decoding within one sequence (Yu, EMNLP 2025): an answer branches while it is written.

The model writes an intro and the titles of independent steps; the titles are forked, all steps are
written at once, what follows sees all of them, and may open the next block of steps. The published way
writes titles a token at a time, keeps finished branches running and computes all branches anew before it
goes on; here titles are prefilled, branches leave when they end, and `join` decides what goes on.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import Field

from branchwise.data.types import Group
from branchwise.decoding.options import Layout
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk
from branchwise.strategies.outline_writing import Writing

HINTS = True
"""Prompts say how a data set has its questions worked through."""
OWN_FORM = True
"""What is generated has a form of its own: no decoder may hold it to another."""


class Options(Record):
    """How an answer is split and put together. All of it together has the budget of an answer: what is
    left when branches begin is theirs in equal shares, and what some leave, the others go on with.
    """

    grammar: Literal["enforced", "free"] = Field(
        "enforced",
        description="enforced: the model is held to an intro of one line, titles of up to six words and "
        "their end, and the ellipsis behind each colon is given; free: it writes as it likes, and is "
        "split where it gives titles alone.",
    )
    join: Literal["see", "recompute"] = Field(
        "see",
        description="see: what follows sees the branches where they are; recompute: they are computed "
        "anew, one behind the other, as published.",
    )
    see_titles: bool = Field(False, description="Whether a branch sees the titles of the others.")
    positions: Layout | None = Field(
        None, description="Where branches stand; null: as the decoder's entry says."
    )
    draft: bool = Field(False, description="Whether the prompt asks for few words a step.")
    max_branches: int = Field(
        64, ge=1, description="Titles beyond which the answer is written in one go."
    )
    max_blocks: int = Field(
        8, ge=1, description="Blocks of branches; behind the last of them no other is opened."
    )
    title_tokens: int = Field(48, ge=1, description="Most tokens of a title.")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    writings = (Writing(group, question, desk, options).answer() for question in group)
    for answer in await gather(*writings):
        yield answer
