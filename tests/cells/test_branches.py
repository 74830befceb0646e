"""A strategy that forks and joins, at the desk."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from branchwise.api import TreeDecoder
from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import load_model
from branchwise.decoding.reference import HFDecoder
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import Answered
from branchwise.strategies.base import Desk, answered

GROUP = next(make_groups(WorldsSpec(kinds=("look_up",), group_size=3, num_groups=1)))


@pytest.fixture(scope="module")
def loaded(root):
    return load_model(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))


async def forked(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """One prompt, then a branch a question: the opening is held once, by hand."""
    prompts = [single(group, question, desk.style) for question in group]
    root = desk.open(prompts[0][:1])
    texts = [desk.chat.prompt_text(prompt) for prompt in prompts]
    common = desk.chat.prompt_text(prompts[0][:1])
    branches = desk.fork(root, [text.removeprefix(common) for text in texts])
    replies = await asyncio.gather(*(desk.generate(b, [q]) for b, q in zip(branches, group, strict=True)))
    for question, reply in zip(group, replies, strict=True):
        yield answered(question, reply, desk.style)


def test_a_strategy_may_fork_and_join(loaded) -> None:
    decoder = TreeDecoder(loaded.model, loaded.chat.tokenizer)
    heard: list[int] = []

    async def script() -> tuple[list, str]:
        desk = GroupDesk(GROUP, decoder, loaded.chat, PromptStyle(), 6, lambda qs, t: heard.append(t))
        prompt = single(GROUP, GROUP.questions[0], desk.style)
        root = desk.open(prompt)
        left, right = desk.fork(root, ["one", "two"])
        replies = await asyncio.gather(
            desk.generate(left, GROUP.questions[:1]), desk.generate(right, GROUP.questions[1:2])
        )
        joined = desk.join([left, right], "so")
        last = await desk.generate(joined, GROUP.questions[2:], after=replies)
        decoder.close(desk)
        return desk.asks, last.text

    asks, _ = run(script(), decoder.step)
    assert [ask.after for ask in asks] == [(), (), (0, 1)]
    assert len(heard) == sum(len(ask.completion.ids) for ask in asks)
    for ask in asks:
        tokens = ask.completion.tokens
        assert tokens.sent == tokens.unique + tokens.cached
    assert decoder.slots_in_use == 0


def test_a_function_runs_as_a_strategy_in_a_notebook(loaded) -> None:
    decoder = TreeDecoder(loaded.model, loaded.chat.tokenizer)
    answers = decoder.run(forked, GROUP, max_new_tokens=6)
    assert [answer.question.id for answer in answers] == [question.id for question in GROUP]
    together = decoder.run_all("batch", [GROUP, GROUP], max_new_tokens=6)
    assert together[0] == together[1] == decoder.run("batch", GROUP, max_new_tokens=6)
    assert decoder.slots_in_use == 0


def test_the_reference_decoder_has_no_branches(loaded) -> None:
    desk = GroupDesk(GROUP, HFDecoder(loaded.model, loaded.chat.tokenizer), loaded.chat, PromptStyle(), 6)
    with pytest.raises(UserError, match="needs fork, which the decoder does not offer"):
        desk.open(single(GROUP, GROUP.questions[0], PromptStyle()))
