"""A decoder that samples: the same answers whatever is in flight, in any order, on tree and hf alike."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import FakeDecoder, Words, group_of

from branchwise.cells.flight import run_groups
from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Rules, Sampling
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load
from branchwise.strategies.base import Answered, Desk, answered

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop",), group_size=2, num_groups=8)))
HOT = {"temperature": 1.2, "top_p": 0.95, "min_p": 0.001}


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def made(source: ModelSource, kind: str, sampling: dict[str, Any]) -> Decoder:
    if kind == "hf":
        return HFEntry(kind="hf", sampling=sampling).make(source)
    return TreeEntry(kind="tree", kernel="dense", sampling=sampling).make(source)


def flown(source, folder: Path, name: str, in_flight: int, groups=GROUPS, seed: int = 0):
    """What every ask of every group was answered with, by group."""
    options = {"samples": 2} if name == "vote" else {}
    runner = GroupRunner(
        load(name, options), made(source, "tree", {**HOT, "seed": seed}), source.chat, PromptStyle(), 6
    )
    journal = Journal(folder / f"{name}-{in_flight}-{seed}-{groups[0].id}.jsonl", {})
    flight = run_groups(
        runner, groups, journal, lambda done, total: None, pytest.fail, groups_in_flight=in_flight
    )
    assert flight.groups_in_flight == in_flight
    return {record.run.id: [ask.raw for ask in record.trace.asks] for record in flight.records}


@pytest.mark.parametrize("name", ["batch", "sequential", "vote"])
def test_answers_do_not_depend_on_what_else_is_in_flight(source, tmp_path: Path, name: str) -> None:
    alone = flown(source, tmp_path, name, 1)
    assert flown(source, tmp_path, name, 8) == alone
    assert flown(source, tmp_path, name, 3, GROUPS[::-1]) == alone
    assert flown(source, tmp_path, name, 8, seed=1) != alone


@pytest.mark.parametrize("name", ["batch", "sequential", "all_in_one", "collab"])
def test_tree_and_hf_draw_the_same_tokens(source: ModelSource, name: str) -> None:
    for group in GROUPS[:3]:
        tree, hf = (
            GroupRunner(load(name), made(source, kind, HOT), source.chat, PromptStyle(), 6).once(group)
            for kind in ("tree", "hf")
        )
        assert [a.completion.ids for a in tree.asks] == [a.completion.ids for a in hf.asks]


def test_the_order_of_asking_does_not_matter(source: ModelSource) -> None:
    async def backwards(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        questions = list(group)[::-1]
        asks = (desk.ask(single(group, question, desk.style), [question]) for question in questions)
        for question, reply in zip(questions, await asyncio.gather(*asks), strict=True):
            yield answered(question, reply, desk.style)

    said = [
        {
            answer.question.id: answer.raw
            for answer in GroupRunner(one, made(source, "tree", HOT), source.chat, PromptStyle(), 6)
            .once(GROUPS[0])
            .answers
        }
        for one in (load("batch"), backwards)
    ]
    assert said[0] == said[1]


def test_branches_are_sampled_too(source: ModelSource) -> None:
    async def branched(group: Group, desk: Any) -> AsyncIterator[Answered]:
        for question in group:
            branch = desk.open(single(group, question, desk.style))
            yield answered(question, await desk.generate(branch, [question]), desk.style)

    said = [
        [
            ask.completion.ids
            for ask in GroupRunner(one, made(source, "tree", HOT), source.chat, PromptStyle(), 6)
            .once(GROUPS[0])
            .asks
        ]
        for one in (load("batch"), branched)
    ]
    assert said[0] == said[1]


def test_a_strategy_that_states_its_sampling_keeps_it() -> None:
    heard: list[Sampling] = []

    def says(request) -> str:
        heard.append(request.rules.sampling)
        return "yes"

    decoder = FakeDecoder(says, chat=Words())
    decoder.sampling = Sampling(0.5, seed=1)
    own = Sampling(2.0, seed=9)

    async def asking(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        for rules in (Rules(4, own), Rules(4), None, None):
            await desk.ask(single(group, group.questions[0], desk.style), group.questions, rules=rules)
        return
        yield

    GroupRunner(asking, decoder, decoder.chat, PromptStyle(), 4).once(group_of(1))
    assert heard[0] == own
    assert {(one.temperature, one.top_p) for one in heard[1:]} == {(0.5, 1.0)}
    assert len({one.seed for one in heard}) == 4
