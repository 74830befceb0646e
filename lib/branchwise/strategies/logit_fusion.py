"""Paraphrase ensembles on logits: all wordings of a question go on with one token, chosen for all."""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.decoding.options import Fusion
from branchwise.errors import UserError
from branchwise.prompts import single
from branchwise.prompts.wordings import worded
from branchwise.strategies.base import Answered, Desk, Worded, answered
from branchwise.strategies.wordings import WordingOptions


class Options(WordingOptions):
    """Which wordings, and how they are fused."""

    rule: Fusion = Field(
        "avg",
        description="avg: mean of the logits; max: each token's greatest probability; prob_avg: mean of "
        "the probabilities; weighted_avg: mean of the logits by confidence; weighted_max: the surest "
        "wording alone.",
    )

    @property
    def weighs(self) -> bool:
        """Whether wordings count by confidence."""
        return self.rule.startswith("weighted")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The wordings of a question in lockstep, one forward pass a token for all of them."""
    for answer in await gather(*(_fused(group, question, desk, options) for question in group)):
        yield answer


async def _fused(group: Group, question: Question, desk: Desk, options: Options) -> Answered:
    # The config reads strategies without torch, which this needs.
    from branchwise.decoding.fusion import fused

    texts = options.of(question)
    hook = fused(options.rule, len(texts))
    rules = replace(desk.rules([question]), hooks=(hook,))
    asks = (
        desk.ask(
            single(group, worded(question, text), desk.style),
            [question],
            rules=replace(rules, weight=_weight(question, text, options)),
        )
        for text in texts
    )
    replies = await gather(*asks)
    return answered(question, replies[0], desk.style)._replace(
        asks=tuple(reply.index for reply in replies), wordings=tuple(map(Worded, texts))
    )


def _weight(question: Question, text: str, options: Options) -> float:
    """How much a wording counts. Raises UserError where nothing is known of one that is to."""
    if not options.weighs:
        return 1.0
    known = dict(question.confidences)
    if text not in known:
        raise UserError(
            f"question {question.id}: no confidence is known of its wording {text[:60]!r}",
            "name an entry of `confidence` for the strategy that covers as many wordings, with the same "
            "seed",
        )
    return known[text]
