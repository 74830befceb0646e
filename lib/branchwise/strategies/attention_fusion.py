"""Paraphrase ensembles inside attention: wordings that do not see each other, an answer that sees all.

The prompts of all wordings are cut where they differ: what they begin with is the trunk, each wording a
branch, and what they end with (`Answer:`, the beginning of the model's turn) a cue that joins them.
"""

from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.decoding.options import Layout
from branchwise.errors import UserError
from branchwise.prompts import Message, single
from branchwise.prompts.wordings import Split, split, worded
from branchwise.strategies.base import BEGINNING, Answered, Desk, Reply, Worded, answered
from branchwise.strategies.wordings import WordingOptions

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch


class Options(WordingOptions):
    """Which wordings, where they stand, and what the first token sees."""

    positions: Layout = Field(
        "shared",
        description="shared: all wordings end at the same place; path: all begin at the same place; "
        "consecutive: each begins where the one before ends, as published.",
    )
    first_token: Literal["joined", "last"] = Field(
        "joined",
        description="joined: the cue sees all wordings, and so does the first token; last: as published, "
        "every wording has a cue of its own, the first token is that of the last wording alone, and what "
        "follows sees all.",
    )
    isolated_shots: bool = Field(
        False,
        description="Whether each solved question sees the instruction and itself alone; the wordings "
        "see all of them. They are computed, and paid for, with every group.",
    )


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    shots = _isolated(group, desk, options) if options.isolated_shots else []
    for answer in await gather(*(_fused(group, one, desk, options, shots) for one in group)):
        yield answer


async def _fused(
    group: Group, question: Question, desk: Desk, options: Options, shots: "Sequence[Branch]"
) -> Answered:
    texts = options.of(question)
    messages = [single(group, worded(question, text), desk.style) for text in texts]
    # A tokenizer may make the same of two texts.
    prompts = list(dict.fromkeys(tuple(desk.prompt_ids(one)) for one in messages))
    if len(prompts) == 1:
        # Cut anywhere it is the same prompt; the cue is its last token.
        parts = Split(list(prompts[0][:-1]), [], list(prompts[0][-1:]))
    else:
        parts = _split(prompts)
    trunk = _trunk(desk, parts.trunk, messages[0], shots)
    if not parts.middles:
        replies = [await desk.generate(desk.fork(trunk, [parts.cue])[0], [question])]
    elif options.first_token == "joined":
        branches = desk.fork(trunk, parts.middles, options.positions)
        replies = [await desk.generate(desk.join(branches, parts.cue), [question])]
    else:
        replies = await _last_first(question, desk, trunk, parts, options)
    return answered(question, replies[-1], desk.style)._replace(
        asks=tuple(reply.index for reply in replies), wordings=tuple(map(Worded, texts))
    )


def _split(prompts: Sequence[Sequence[int]]) -> Split:
    """Raises UserError for prompts that cannot be cut: nothing would be left to join them."""
    try:
        return split(prompts)
    except ValueError as error:
        raise UserError(
            f"wordings cannot be fused inside attention: {error}",
            "use a prompt style whose prompts end in a label or a turn of the model, or fuse on logits",
        ) from None


async def _last_first(
    question: Question, desk: Desk, trunk: "Branch", parts: Split, options: Options
) -> list[Reply]:
    """The first token said by the last wording, the others by all."""
    *others, last = [[*middle, *parts.cue] for middle in parts.middles]
    *branches, begun = desk.fork(trunk, [*others, last[:-1]], options.positions)
    # The last token twice: behind the one the first token is said, the other is seen by what follows.
    head, tail = desk.fork(begun, [last[-1:], last[-1:]])
    rules = desk.rules([question])
    alone = replace(rules, max_new_tokens=1)
    first = await desk.generate(head, [question], role=BEGINNING, rules=alone)
    if first.is_over or rules.max_new_tokens == 1:
        return [first]
    rest = desk.join([*branches, tail], first.ids)
    rules = replace(rules, max_new_tokens=rules.max_new_tokens - 1)
    return [first, await desk.generate(rest, [question], rules=rules, begun=first)]


def _isolated(group: Group, desk: Desk, options: Options) -> "list[Branch]":
    """A branch a shot of the group's prompts, below what stands before them; none without shots."""
    question = next(iter(group))
    before, *shots = desk.shown_ids(single(group, question, desk.style))
    return desk.fork(desk.open(before), shots, options.positions) if shots else []


def _trunk(
    desk: Desk, ids: list[int], messages: Sequence[Message], shots: "Sequence[Branch]"
) -> "Branch":
    """A branch that holds what all wordings begin with."""
    if not shots:
        return desk.open(ids, like=messages)
    seen = sum(map(len, desk.shown_ids(messages)))
    return desk.join(shots, ids[seen:])
