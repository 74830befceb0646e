"""An outlined answer written in one go, on the prompts and with the bans of `outline`: its baseline.

With `draft` it is Chain-of-Draft (Xu et al., 2025): the same, asked to put few words to a step.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts.outlining import DOTS, outlined
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, answered

HINTS = True
"""Prompts say how a data set has its questions worked through."""
OWN_FORM = True
"""What is generated has a form of its own: no decoder may hold it to another."""
DOTS_ALLOWED = "ellipses_not_banned"
"""Noted of an answer of a served model, whose server takes no bans: it may leave parts out."""
IN_ONE_GO = "written_in_one_go"
"""Noted of an answer whose outline could not be used."""


class Options(Record):
    """How an answer is asked for."""

    draft: bool = Field(False, description="Whether the prompt asks for few words a step.")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    for answer in await gather(*(written(group, one, desk, options.draft) for one in group)):
        yield answer


async def written(group: Group, question: Question, desk: Desk, draft: bool = False) -> Answered:
    """An answer in one go, without an ellipsis for any part of it."""
    rules = desk.rules([question])
    if desk.may_ban:
        rules = replace(rules, banned_ids=desk.tokens_like(DOTS))
    prompt = outlined(group, question, desk.style, draft)
    made = answered(question, await desk.ask(prompt, [question], rules=rules), desk.style)
    return made if desk.may_ban else made._replace(notes=(DOTS_ALLOWED,))
