"""Every wording of a question on its own: what an ensemble has to beat, and the vote of its answers."""

from asyncio import gather
from collections.abc import AsyncIterator, Awaitable
from typing import Literal, TypeVar

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts import Reading, reading_of, single
from branchwise.prompts.wordings import worded
from branchwise.strategies.base import Answered, Desk, Reply, Worded
from branchwise.strategies.vote import winner
from branchwise.strategies.wordings import WordingOptions

T = TypeVar("T")


class Options(WordingOptions):
    """Which wordings, and what is made of their answers."""

    take: Literal["each", "vote"] = Field(
        "each",
        description="each: the answers to all wordings, scored by their mean; vote: the most frequent.",
    )
    at_once: bool = Field(
        True,
        description="Whether all wordings are asked at the same time; false: one after the other, which "
        "changes no answer and shows what asking them together saves.",
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """As many asks as there are wordings, none waiting for another."""
    texts = [options.of(question) for question in group]
    together = gather if options.at_once else _in_turn
    asks = [
        together(
            *(desk.ask(single(group, worded(question, text), desk.style), [question]) for text in some)
        )
        for question, some in zip(group, texts, strict=True)
    ]
    for question, some, replies in zip(group, texts, await together(*asks), strict=True):
        readings = [_reading(reply, question, desk) for reply in replies]
        taken = winner(readings) if options.take == "vote" else 0
        yield Answered(
            question,
            readings[taken],
            replies[taken].text,
            tuple(reply.index for reply in replies),
            tuple(Worded(text, reading) for text, reading in zip(some, readings, strict=True)),
            each=options.take == "each",
        )


async def _in_turn(*asks: Awaitable[T]) -> list[T]:
    """What each comes to, none begun before the one before has ended."""
    return [await ask for ask in asks]


def _reading(reply: Reply, question: Question, desk: Desk) -> Reading:
    """An answer by itself: one that was cut off is not well formed, and costs no other wording that."""
    reading = reading_of(reply.text, question, desk.style)
    return reading._replace(well_formed=reading.well_formed and reply.is_over)
