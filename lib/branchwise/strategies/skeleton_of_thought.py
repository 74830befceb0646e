"""Skeleton-of-Thought (Ning et al., ICLR 2024): the points of an answer first, then all at once.

Two requests, so that it runs on every decoder: the skeleton, a numbered list; and for each point one that
shows the question and the whole list, and asks for that point alone. Nothing sees what the points say.
Skeleton and points have the budget of one answer together, the points in equal shares.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts import reading_of
from branchwise.prompts.outlining import point, points, skeleton
from branchwise.prompts.style import numbered
from branchwise.records import Record
from branchwise.strategies.base import OUTLINE, Answered, Desk
from branchwise.strategies.outline_writing import CUT_BRANCH, NO_OUTLINE, TOO_MANY
from branchwise.strategies.plain import IN_ONE_GO, written

HINTS = True
"""Prompts say how a data set has its questions worked through."""
OWN_FORM = True
"""What is generated has a form of its own: no decoder may hold it to another."""


class Options(Record):
    """How far an answer may be split."""

    max_branches: int = Field(
        64, ge=1, description="Points beyond which the answer is written in one go."
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    for answer in await gather(*(_pointed(group, one, desk, options) for one in group)):
        yield answer


async def _pointed(group: Group, question: Question, desk: Desk, options: Options) -> Answered:
    first = await desk.ask(skeleton(group, question, desk.style), [question], role=OUTLINE)
    rules = desk.rules([question])
    titles = points(first.text)
    left = rules.max_new_tokens - first.num_tokens
    if not titles or len(titles) > min(options.max_branches, left):
        plain = await written(group, question, desk)
        why = TOO_MANY if titles else NO_OUTLINE
        return plain._replace(asks=(first.index, *plain.asks), notes=(why, IN_ONE_GO, *plain.notes))
    rules = replace(rules, max_new_tokens=left // len(titles))
    asks = (
        desk.ask(
            point(group, question, desk.style, titles, number), [question], role="branch", rules=rules
        )
        for number in range(1, len(titles) + 1)
    )
    replies = await gather(*asks)
    raw = numbered(
        [f"{title}: {reply.text.strip()}" for title, reply in zip(titles, replies, strict=True)]
    )
    indices = tuple(reply.index for reply in (first, *replies))
    notes = () if all(reply.is_over for reply in replies) else (CUT_BRANCH,)
    return Answered(question, reading_of(raw, question, desk.style), raw, indices, notes=notes)
