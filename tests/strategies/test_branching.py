"""Questions as branches of one context, and questions whose branches mix: on the shipped model."""

from pathlib import Path

import pytest

from branchwise import TreeDecoder
from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import Loaded, load_model
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle
from branchwise.strategies import load


@pytest.fixture(scope="module")
def loaded(root: Path) -> Loaded:
    return load_model(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    spec = WorldsSpec(kinds=("look_up", "two_hop"), group_size=4, num_groups=6, min_facts=8, seed=77)
    return list(make_groups(spec))


def answers(loaded: Loaded, group: Group, name: str, mixing=None, needs=None, options=None, **decoder):
    engine = TreeDecoder(loaded.model, loaded.chat.tokenizer, mixing, **decoder)
    strategy = load(name, options)
    runner = GroupRunner(strategy, engine, loaded.chat, PromptStyle(), 12, needs=needs)
    done = runner.once(group)
    return [ask.completion.ids for ask in done.asks]


@pytest.fixture(scope="module")
def batches(loaded: Loaded, groups: list[Group]) -> list[list[list[int]]]:
    """What each group's questions are answered by themselves."""
    return [answers(loaded, group, "batch") for group in groups]


@pytest.fixture(scope="module")
def branches(loaded: Loaded, groups: list[Group]) -> list[list[list[int]]]:
    """What they are answered as branches of one context."""
    return [answers(loaded, group, "branches") for group in groups]


def test_branches_along_one_line_are_a_batch(
    loaded: Loaded, groups: list[Group], batches, branches
) -> None:
    assert branches == batches
    for group in groups:
        alone = group.model_copy(update={"questions": group.questions[:1]})
        assert answers(loaded, alone, "branches") == answers(loaded, alone, "batch")


def test_a_grid_changes_what_branches_say(loaded: Loaded, groups: list[Group], batches, branches) -> None:
    """With a strategy that forks no group, 2D positions changed nothing, silently."""
    from branchwise.decoding.options import Grid2D

    harsh = {"positions": "grid2d", "grid": Grid2D(512, tuple(range(16)), "x")}
    assert [answers(loaded, group, "batch", **harsh) for group in groups] == batches
    assert [answers(loaded, group, "branches", **harsh) for group in groups] != branches


def test_who_peeks_is_told_where_to_stand(loaded: Loaded, groups: list[Group], branches) -> None:
    peeking = {"peek": True, "positions": "shared"}
    found = [answers(loaded, group, "branches", options=peeking) for group in groups]
    assert found != branches
    unequal = {"peek": True, "positions": "path"}
    with pytest.raises(UserError, match="do not end at the same position"):
        for group in groups:
            answers(loaded, group, "branches", options=unequal)


def test_new_mixers_leave_a_batch_as_it_is(loaded: Loaded, groups: list[Group], batches) -> None:
    mixing = Mixing(loaded.model, MixerEntry(place="after", layers=(3,)))
    assert [answers(loaded, group, "mixed", mixing) for group in groups] == batches


def test_the_entry_states_what_is_needed(loaded: Loaded, groups: list[Group]) -> None:
    mixing = Mixing(loaded.model, MixerEntry())
    with pytest.raises(
        UserError, match=r"uses mix, which its catalogue entry does not state; write .*ask, mix"
    ):
        answers(loaded, groups[0], "mixed", mixing, needs=frozenset({"ask"}))
    peeking = {"peek": True, "positions": "shared"}
    with pytest.raises(UserError, match="uses peek"):
        answers(loaded, groups[0], "branches", needs=frozenset({"ask", "fork"}), options=peeking)
    with pytest.raises(UserError, match="the model has no mixers"):
        answers(loaded, groups[0], "mixed")
