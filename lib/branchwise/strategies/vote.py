"""Self-consistency (Wang et al., 2023): each question is asked several times, and the answers vote."""

import unicodedata
from asyncio import gather
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from pydantic import Field

from branchwise.data.types import Group
from branchwise.prompts import Reading, reading_of, single
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk

DRAWS = True
"""Equal prompts are to be answered differently: a decoder that samples is needed."""


class Options(Record):
    """How many answers vote."""

    samples: int = Field(5, ge=1, description="Times that each question is asked, all at once.")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """As `batch`, each ask several times; the prompt of a question is the same each time."""
    asks = [
        desk.ask(single(group, question, desk.style), [question])
        for question in group
        for _ in range(options.samples)
    ]
    replies = await gather(*asks)
    for number, question in enumerate(group):
        said = replies[number * options.samples : (number + 1) * options.samples]
        readings = [reading_of(reply.text, question, desk.style) for reply in said]
        won = winner(readings)
        indices = tuple(reply.index for reply in said)
        yield Answered(question, readings[won], said[won].text, indices)


def winner(readings: Sequence[Reading]) -> int:
    """The number of the first reading with the most frequent answer; of equally frequent ones, the first
    said. A reading without an answer has no vote unless all are such.
    """
    texts = [_normalised(reading.answer) for reading in readings]
    votes = Counter(text for text in texts if text) or Counter(texts)
    # Counted in the order of saying, and the first of the most frequent is taken.
    return texts.index(votes.most_common(1)[0][0])


def _normalised(answer: str) -> str:
    """An answer without what makes no other answer: case, width, spaces, and signs around it."""
    return " ".join(unicodedata.normalize("NFKC", answer).casefold().split()).strip(" .,;:!?\"'。，！？")
