"""One branch a document: each sees its own alone, and all of them say one answer.

`fused`: the question is asked of every document apart, and all go on with one token, chosen from what
they say next (as PCED, without its prior and its weights by retrieval: nothing here knows how well a
document was found). `joined`: documents stand below one instruction and do not see each other, the
question sees all of them (as APE, without the temperature and the scale of attention with which it
weighs what was encoded apart: the verbs say who sees what, and not how strongly).

Of one document both are plain decoding.
"""

import re
from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts import Message, single
from branchwise.prompts.wordings import split
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, Reply, answered

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch

Cut = Literal["documents", "lines"]
Held = dict[tuple[tuple[int, ...], ...], "list[Branch]"]
"""The branches of documents, by their token ids and those of what stands above them."""

_LABEL = re.compile(r"^(?=(?:Document|Passage|文档)\s*\d+\s*[:：])", re.MULTILINE)
_PROBES = ("Who?", "1")
"""Documents that have no token in common, at either end."""


class Options(Record):
    """What a document is, and what its branch gives to the answer."""

    see: Literal["fused", "joined"] = Field(
        "fused",
        description="fused: every document is asked alone, and their next tokens are fused; joined: the "
        "question sees all documents, which do not see each other.",
    )
    rule: Literal["avg", "max", "prob_avg"] = Field(
        "avg",
        description="Of fused. avg: mean of the logits; max: each token's greatest probability; "
        "prob_avg: mean of the probabilities.",
    )
    positions: Literal["shared", "path"] = Field(
        "shared",
        description="Of joined. shared: all documents end at the same place; path: all begin at the same "
        "place.",
    )
    cut: Cut = Field(
        "documents",
        description='documents: a context is cut at lines that begin "Document 1:" or "Passage 1:", and '
        "where there are none at blank lines; lines: every line is a document.",
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    held: Held = {}
    for answer in await gather(*(_answer(group, one, desk, options, held) for one in group)):
        yield answer


def documents_in(text: str, cut: Cut = "documents") -> list[str]:
    """The documents of a context, in order. What stands before the first label belongs to each."""
    if cut == "lines":
        return [line.strip() for line in text.splitlines() if line.strip()]
    before, *labelled = _LABEL.split(text)
    if labelled:
        return [(before + one).strip() for one in labelled]
    return [one.strip() for one in re.split(r"\n\s*\n", text) if one.strip()]


async def _answer(group: Group, question: Question, desk: Desk, options: Options, held: Held) -> Answered:
    contexts = (group.context, question.context or "")
    documents = [one for text in contexts for one in documents_in(text, options.cut)]
    if len(documents) < 2:
        reply = await desk.ask(single(group, question, desk.style), [question])
        return answered(question, reply, desk.style)
    prompts = [_prompt(group, question, one, desk) for one in documents]
    if options.see == "joined":
        probes = [_prompt(group, question, one, desk) for one in _PROBES]
        replies = [await _joined(question, desk, options, prompts, probes, held)]
    else:
        replies = await _fused(question, desk, options, prompts)
    made = tuple(reply.index for reply in replies)
    return answered(question, replies[0], desk.style)._replace(asks=made)


def _prompt(group: Group, question: Question, document: str, desk: Desk) -> list[Message]:
    """The question under one document alone."""
    seen = group.model_copy(update={"context": document})
    return single(seen, question.model_copy(update={"context": None}), desk.style)


async def _fused(
    question: Question, desk: Desk, options: Options, prompts: Sequence[Sequence[Message]]
) -> list[Reply]:
    """The same answer from every prompt, said in lockstep."""
    # The config reads strategies without torch, which this needs.
    from branchwise.decoding.fusion import fused

    rules = replace(desk.rules([question]), hooks=(fused(options.rule, len(prompts)),))
    return await gather(*(desk.ask(prompt, [question], rules=rules) for prompt in prompts))


async def _joined(
    question: Question,
    desk: Desk,
    options: Options,
    prompts: Sequence[Sequence[Message]],
    probes: Sequence[Sequence[Message]],
    held: Held,
) -> Reply:
    """An answer that sees all documents. Those that questions share are encoded once."""
    ids = dict.fromkeys(tuple(desk.prompt_ids(prompt)) for prompt in prompts)
    # With the probes nothing of a document is above or below all of them, whatever documents share.
    whole = ids | dict.fromkeys(tuple(desk.prompt_ids(probe)) for probe in probes)
    parts = split(list(whole))
    middles = parts.middles[: len(ids)]
    key = (tuple(parts.trunk), *map(tuple, middles))
    if key not in held:
        held[key] = desk.fork(desk.open(parts.trunk, like=prompts[0]), middles, options.positions)
    return await desk.generate(desk.join(held[key], parts.cue), [question])
