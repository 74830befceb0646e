"""Models by role: a strategy asks a planner beside the answerer, and the ledger tells them apart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from branchwise.cells.asks import Asked
from branchwise.cells.runner import GroupRunner, record_of
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.prompts import PromptStyle, single
from branchwise.strategies.base import Answered, Desk, answered

GROUP = next(make_groups(WorldsSpec(kinds=("look_up",), group_size=2, num_groups=1)))


async def planned(group: Group, desk: Desk) -> AsyncIterator[Answered]:
    """The planner first, then the answerer."""
    plan = await desk.ask(single(group, group.questions[0], desk.style), role="plan", by="planner")
    assert isinstance(plan.text, str)
    for question in group:
        reply = await desk.ask(single(group, question, desk.style), [question])
        yield answered(question, reply, desk.style)


def test_roles_are_asked_and_counted_apart(root: Path, random_model_folder: Path) -> None:
    tiny = ModelSource(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))
    other = ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))
    entry = TreeEntry(kind="tree", kernel="dense")
    decoder, planner = entry.make(tiny), entry.make(other)
    runner = GroupRunner(planned, decoder, tiny.chat, PromptStyle(), 6)
    alone = record_of(GROUP, runner.once(GROUP), pytest.fail)
    assert set(alone.run.tokens_by_role) == {"answerer"}
    assert planner.num_forward_passes == 0

    both = GroupRunner(
        planned, decoder, tiny.chat, PromptStyle(), 6, others={"planner": Asked(planner, other.chat)}
    )
    made = record_of(GROUP, both.once(GROUP), pytest.fail)
    assert planner.num_forward_passes > 0
    assert made.run.forward_passes > planner.num_forward_passes
    assert [ask.by for ask in made.trace.asks] == ["planner", "answerer", "answerer"]
    assert [ask.after for ask in made.trace.asks] == [(), (0,), (1,)]
    sent = {role: tokens.sent for role, tokens in made.run.tokens_by_role.items()}
    assert sent["planner"] > 0
    assert sum(sent.values()) == made.run.tokens.sent == sum(row.tokens.sent for row in made.answers)
    assert [row.answer for row in made.answers] == [row.answer for row in alone.answers]
