"""Answers held to a form, through strategies: each is of the form, in prompts and in branches."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import regex

from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.forms import pattern_of
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Hook, Rules
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load
from branchwise.strategies.base import Answered, Desk, answered

CHOICES = list(make_groups(WorldsSpec(kinds=("choice",), group_size=4, num_groups=2)))
HOPS = list(make_groups(WorldsSpec(kinds=("two_hop",), group_size=4, num_groups=2)))


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def asked(source: ModelSource, strategy: Any, group: Group, style=None, budget=90, **form):
    decoder = TreeEntry(kind="tree", kernel="dense", **form).make(source)
    found = load(strategy) if isinstance(strategy, str) else strategy
    done = GroupRunner(found, decoder, source.chat, style or PromptStyle(), budget).once(group)
    assert decoder.slots_in_use == 0
    return done


@pytest.mark.parametrize("strategy", ["batch", "sequential", "all_in_one", "collab", "collab_see"])
def test_json_is_all_that_can_be_said(source: ModelSource, strategy: str) -> None:
    """The model's weights are random: nothing but the form makes it say this."""
    done = asked(source, strategy, HOPS[0], constrain="json", sampling={"temperature": 0.5})
    assert done.asks
    for ask in done.asks:
        pattern = pattern_of("json", ask.questions, "line")
        # Sampling from random weights fills the budget: then it is the beginning of a match.
        assert regex.fullmatch(pattern, ask.raw.rstrip("\ufffd"), partial=True), ask.raw
        if ask.completion.stop == "stop":
            json.loads(ask.raw)


@pytest.mark.parametrize("answer_format", ["line", "tag"])
@pytest.mark.parametrize("strategy", ["batch", "sequential", "all_in_one", "collab_see"])
def test_a_choice_is_always_well_formed(source: ModelSource, strategy: str, answer_format) -> None:
    style = PromptStyle(answer_format=answer_format)
    done = asked(source, strategy, CHOICES[0], style, constrain="choice")
    assert len(done.answers) == len(CHOICES[0])
    for one in done.answers:
        assert one.reading.well_formed
        assert one.reading.answer in "ABCDEFGHIJ"[: len(one.question.options)]
    assert all(ask.completion.stop == "stop" for ask in done.asks)


def test_a_pattern_of_ones_own(source: ModelSource) -> None:
    done = asked(source, "batch", HOPS[0], constrain="regex", pattern="[0-9]{2} (?:km|龘)")
    assert all(regex.fullmatch("[0-9]{2} (?:km|龘)", ask.raw) for ask in done.asks)


def test_asks_without_questions_are_free_and_a_hook_of_ones_own_comes_first(source: ModelSource) -> None:
    async def planned(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        plan = await desk.ask(single(group, group.questions[0], desk.style), role="plan")
        assert not plan.text.strip().startswith("{")
        for question in group:
            yield answered(
                question, await desk.ask(single(group, question, desk.style), [question]), desk.style
            )

    done = asked(source, planned, HOPS[0], budget=5, constrain="json")
    assert all(ask.raw.strip().startswith("{") for ask in done.asks[1:])

    async def turned(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        # What is likeliest otherwise comes last: of what the form allows the least likely is said.
        rules = Rules(5, hooks=(Hook(lambda members, logits: -logits),))
        question = group.questions[0]
        reply = await desk.ask(single(group, question, desk.style), [question], rules=rules)
        yield answered(question, reply, desk.style)

    other = asked(source, turned, HOPS[0], budget=5, constrain="json")
    assert other.asks[0].raw.strip().startswith("{")
    assert other.asks[0].completion.ids != done.asks[1].completion.ids
