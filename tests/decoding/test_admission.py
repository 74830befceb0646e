"""Admission by itself: who is let in first, what that costs, and who is refused."""

import asyncio

import pytest
import torch

from branchwise.decoding.admission import Admission
from branchwise.decoding.branches import Branch, GroupState, Run
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.requests import Rules
from branchwise.decoding.sets import HookSets
from branchwise.errors import DoesNotFit


class Door:
    """An admission over a tree in which nothing is ever computed but by hand."""

    def __init__(self, budget: int | None = None) -> None:
        self.tree = TokenTree(torch.device("cpu"))
        self.admission = Admission(self.tree, budget, HookSets())
        self.groups: dict[str, GroupState] = {}
        self.loop = asyncio.new_event_loop()

    def wait(self, group: str, prompt: list[int], most: int) -> Run:
        if group not in self.groups:
            self.groups[group] = GroupState(self.tree.add(()))
            self.tree.hold(self.groups[group].root)
        leaf, _ = self.tree.insert(self.groups[group].root, prompt)
        branch = Branch(group, leaf, 1)
        self.groups[group].branches.add(branch)
        run = Run(Rules(most), 0.0, branch=branch, future=self.loop.create_future())
        self.admission.waiting.append(run)
        return run

    def admit(self) -> Run | None:
        return self.admission.admit(self.groups)

    def compute(self) -> None:
        tips = [run.branch.tip for run in self.admission.running]
        self.tree.place(self.tree.pending(tips, 10**6))


def test_without_a_budget_all_come_in_in_their_order() -> None:
    door = Door()
    runs = [door.wait(group, [1, n], 5) for n, group in enumerate("abab")]
    assert door.admit() is None
    assert door.admission.running == runs
    assert not door.admission.waiting
    assert {name: state.num_running for name, state in door.groups.items()} == {"a": 2, "b": 2}


def test_a_group_that_runs_comes_before_others_and_the_rest_keeps_its_order() -> None:
    door = Door(budget=20)
    first = door.wait("a", [1, 2], 8)
    assert door.admit() is None
    others = [door.wait("b", [3], 7), door.wait("c", [4], 2), door.wait("a", [1, 2], 4)]
    assert door.admit() is None
    # 10 for the first; 5 for the other of its group; b's 8 do not fit, and c does not overtake it.
    assert door.admission.running == [first, others[2]]
    assert door.admission.waiting == others[:2]


def test_what_others_have_reserved_is_not_needed_twice() -> None:
    """A shared prefix is room for one: 6 + 2 shared and own tokens, and 2 to come for each of three."""
    prompts = [[1, 2, 3, 4, 5, 6, n] for n in (7, 8, 9)]
    for budget, let_in in ((6 + 3 * (1 + 2), 3), (6 + 3 * (1 + 2) - 1, 2)):
        door = Door(budget)
        for prompt in prompts:
            door.wait("a", prompt, 2)
        assert door.admit() is None
        assert len(door.admission.running) == let_in
        assert [run.num_unique for run in door.admission.running] == [7, 1, 1][:let_in]


def test_a_branch_is_charged_when_it_comes_in_and_not_before() -> None:
    """What it found computed when it came may be given up while it waits for room."""
    door = Door(budget=12)
    door.wait("a", [1, 2, 3], 4)
    door.admit()
    door.compute()
    late = door.wait("a", [1, 2, 3], 6)
    door.admit()
    assert (late.num_sent, late.num_unique) == (0, 0)
    (first,) = door.admission.running
    door.admission.running.remove(first)
    door.groups["a"].num_running -= 1
    first.hand_on([])
    door.tree.evict([*first.branch.path])
    door.admit()
    assert (late.num_sent, late.num_unique) == (3, 3)


def test_only_what_never_fits_is_refused_and_nobody_else_is() -> None:
    door = Door(budget=10)
    fits, never = door.wait("a", [1, 2], 4), door.wait("b", [1, 2, 3], 8)
    assert door.admit() is None
    door.admission.running.remove(fits)
    door.groups["a"].num_running -= 1
    assert door.admit() is never
    refusal = door.admission.refusal(never)
    assert isinstance(refusal, DoesNotFit)
    with pytest.raises(DoesNotFit, match="needs 11 tokens of cache, over the budget of 10"):
        raise refusal
