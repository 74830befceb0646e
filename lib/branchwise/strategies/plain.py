"""An outlined answer written in one go, on the prompts and with the bans of `outline`: its baseline.

With `draft` it is Chain-of-Draft (Xu et al., 2025): the same, asked to put few words to a step.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts.outlining import ELLIPSIS, outlined
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, answered

HINTS = True
"""Prompts say how a data set has its questions worked through."""


class Options(Record):
    """How an answer is asked for."""

    draft: bool = Field(False, description="Whether the prompt asks for few words a step.")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    for answer in await gather(*(_written(group, one, desk, options.draft) for one in group)):
        yield answer


async def _written(group: Group, question: Question, desk: Desk, draft: bool) -> Answered:
    rules = replace(desk.rules([question]), banned_ids=ellipsis_ids(desk))
    prompt = outlined(group, question, desk.style, draft)
    return answered(question, await desk.ask(prompt, [question], rules=rules), desk.style)


def ellipsis_ids(desk: Desk) -> frozenset[int]:
    """Tokens that spell an ellipsis, alone or behind a blank: a body may not be one."""
    spelt = (desk.ids_of(blank + text) for text in (ELLIPSIS, "...", "…") for blank in ("", " "))
    return frozenset(ids[0] for ids in spelt if len(ids) == 1)
