"""Many groups in flight are answered as one at a time, at the same cost; those too long are left out."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from branchwise.cells.flight import run_groups
from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import DoesNotFit
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load
from branchwise.strategies.base import Answered, Desk, answered

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop",), group_size=4, num_groups=7)))


@pytest.fixture(scope="module")
def source(root: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))


def flown(source: ModelSource, folder: Path, strategy, groups, in_flight: int, kind="tree", strict=False):
    decoder = (TreeEntry(kind="tree") if kind == "tree" else HFEntry(kind="hf")).make(source)
    runner = GroupRunner(strategy, decoder, source.chat, PromptStyle(), 12)
    said: list[str] = []
    journal = Journal(folder / f"{in_flight}.jsonl", {"of": kind})
    steps: list[int] = []
    flight = run_groups(
        runner,
        groups,
        journal,
        lambda done, total: steps.append(done),
        said.append,
        groups_in_flight=in_flight,
        strict=strict,
    )
    assert steps == sorted(steps)
    assert steps[-1] == len(groups)
    return flight, said, decoder


def plain(flight):
    """Everything but clocks."""
    return [
        (
            record.run,
            [row.model_dump(exclude={"start_s", "end_s"}) for row in record.answers],
            [ask.model_dump(exclude={"start_s", "end_s"}) for ask in record.trace.asks],
        )
        for record in flight.records
    ]


@pytest.mark.parametrize("name", ["batch", "sequential", "all_in_one", "collab"])
def test_answers_ledger_and_passes_do_not_depend_on_what_else_is_in_flight(
    source: ModelSource, tmp_path: Path, name: str
) -> None:
    alone, _, _ = flown(source, tmp_path, load(name), GROUPS, 1)
    together, said, decoder = flown(source, tmp_path, load(name), GROUPS, 5)
    assert plain(together) == plain(alone)
    assert [record.run.id for record in together.records] == [group.id for group in GROUPS]
    assert (together.groups_in_flight, said, decoder.slots_in_use) == (5, [], 0)
    # They really shared passes.
    assert decoder.num_forward_passes < sum(record.run.forward_passes for record in together.records)


def test_a_decoder_that_pads_is_given_one_group_at_a_time(source: ModelSource, tmp_path: Path) -> None:
    flight, _, decoder = flown(source, tmp_path, load("batch"), GROUPS[:3], 5, kind="hf")
    assert flight.groups_in_flight == decoder.max_groups == 1


def too_long(group: Group) -> Group:
    return group.model_copy(update={"id": f"long-{group.id}", "context": "Mara lives in Ashton. " * 2000})


async def grouped(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """As batch, in a task group, which wraps errors."""
    async with asyncio.TaskGroup() as tasks:
        asks = [
            tasks.create_task(desk.ask(single(group, question, desk.style), [question]))
            for question in group
        ]
    for question, ask in zip(group, asks, strict=True):
        yield answered(question, ask.result(), desk.style)


@pytest.mark.parametrize("strategy", [load("collab"), grouped])
def test_what_does_not_fit_is_left_out_and_the_rest_is_answered(
    source: ModelSource, tmp_path: Path, strategy
) -> None:
    groups = [too_long(GROUPS[0]), GROUPS[1], too_long(GROUPS[2]), GROUPS[3]]
    flight, said, decoder = flown(source, tmp_path, strategy, groups, 3)
    assert [record.run.id for record in flight.records] == [GROUPS[1].id, GROUPS[3].id]
    assert [left.group for left in flight.left_out] == [groups[0].id, groups[2].id]
    assert all("exceed the model's context" in left.reason for left in flight.left_out)
    assert len(said) == 2
    assert decoder.slots_in_use == 0
    with pytest.raises((DoesNotFit, ExceptionGroup)):
        flown(source, tmp_path / "strict", strategy, groups, 3, strict=True)


def test_any_other_error_of_a_strategy_is_raised(source: ModelSource, tmp_path: Path) -> None:
    async def broken(group: Group, desk: Desk) -> AsyncIterator[Answered]:
        if group.id == GROUPS[2].id:
            raise LookupError("a mistake")
        for question in group:
            yield answered(
                question, await desk.ask(single(group, question, desk.style), [question]), desk.style
            )

    with pytest.raises(LookupError, match="a mistake"):
        flown(source, tmp_path, broken, GROUPS, 3)
    # What was finished before is kept.
    again, _, _ = flown(source, tmp_path, load("batch"), GROUPS, 3)
    assert len(again.records) == len(GROUPS)


def test_the_first_group_that_fits_warms_up_and_a_resumed_one_is_not_asked(
    source: ModelSource, tmp_path: Path
) -> None:
    seen: list[tuple[str, int]] = []

    async def spied(group: Group, desk) -> AsyncIterator[Answered]:
        seen.append((group.id, desk.max_new_tokens))
        for question in group:
            yield answered(
                question, await desk.ask(single(group, question, desk.style), [question]), desk.style
            )

    flown(source, tmp_path, spied, [too_long(GROUPS[0]), *GROUPS[1:3]], 1)
    warm = [(f"long-{GROUPS[0].id}", 1), (GROUPS[1].id, 1)]
    asked = [(f"long-{GROUPS[0].id}", 12), (GROUPS[1].id, 12), (GROUPS[2].id, 12)]
    assert seen == warm + asked
    seen.clear()
    flight, _, _ = flown(source, tmp_path, spied, GROUPS[1:4], 1)
    assert flight.num_resumed == 2
    assert seen == [(GROUPS[3].id, 1), (GROUPS[3].id, 12)]
