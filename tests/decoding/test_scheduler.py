"""Scheduler and admission by themselves, without a model: logits are made up."""

import asyncio

import pytest
import torch

from branchwise.decoding.branches import Branch, Run
from branchwise.decoding.forward import Outcome
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.requests import Hook, Rules
from branchwise.decoding.scheduler import Scheduler
from branchwise.errors import NotANumberError, UserError

STOP, VOCABULARY = 7, 10


class Bench:
    """A scheduler over a tree, with a pass that says of each branch what it is told to."""

    def __init__(self, budget: int | None = None) -> None:
        self.tree = TokenTree(torch.device("cpu"))
        self.scheduler = Scheduler(self.tree, frozenset({STOP}), None, budget, 4096)
        self.loop = asyncio.new_event_loop()
        self.tokens: dict[Run, list[int]] = {}

    def begin(self, group: str, prompt: list[int], says: list[int], **more) -> Run:
        rules = Rules(more.pop("most", 9), hooks=more.pop("hooks", ()))
        leaf, _ = self.tree.insert(self.scheduler.state(group).root, prompt)
        branch = Branch(group, leaf, 1)
        self.scheduler.groups[group].branches.add(branch)
        made = Run(rules, 0.0, branch=branch, future=self.loop.create_future(), **more)
        self.scheduler.start(made)
        self.tokens[made] = list(says)
        return made

    def step(self) -> int:
        """One round; how many branches were computed."""
        self.scheduler.admit()
        tips = self.scheduler.tips
        if tips:
            self.tree.place(self.tree.pending(tips, 10**6))
            logits = {}
            for run in self.scheduler.admission.running:
                if run.logits_V is None:
                    row = torch.zeros(VOCABULARY)
                    row[self.tokens[run][len(run.ids)]] = 1.0
                    logits[run.branch.tip] = row
            self.scheduler.advance(Outcome(logits, {}))
        return len(tips)

    def all_steps(self) -> list[int]:
        counts = []
        while count := self.step():
            counts.append(count)
        return counts


def test_branches_end_by_themselves_and_cost_nothing_afterwards() -> None:
    bench = Bench()
    short = bench.begin("a", [1, 2], [3, STOP])
    long = bench.begin("a", [1, 4], [5, 5, 5, STOP])
    full = bench.begin("b", [1], [2] * 9, most=2)
    assert bench.all_steps() == [3, 3, 1, 1]
    results = [run.future.result() for run in (short, long, full)]
    assert [one.ids for one in results] == [[3, STOP], [5, 5, 5, STOP], [2, 2]]
    assert [one.stop for one in results] == ["stop", "stop", "length"]
    assert [one.num_steps for one in results] == [2, 4, 2]
    for group in ("a", "b"):
        bench.scheduler.close(group)
    assert not bench.tree.nodes


def test_the_first_of_equal_branches_is_not_taken_for_another() -> None:
    bench = Bench()
    runs = [bench.begin(group, [1, 2], [3] * 9, most=3) for group in "abc"]
    bench.scheduler.drop(runs[1])
    assert bench.scheduler.runs == [runs[0], runs[2]]
    assert runs[1].future.cancelled()
    bench.scheduler.drop(runs[1])  # once more changes nothing
    bench.all_steps()
    assert [run.future.done() and not run.future.cancelled() for run in runs] == [True, False, True]


def test_a_budget_lets_in_what_fits_and_groups_that_run_first() -> None:
    bench = Bench(budget=16)
    first = bench.begin("a", [1, 2, 3], [4] * 9, most=4)
    other = bench.begin("b", [1, 2, 3], [4] * 9, most=8)
    same = bench.begin("a", [1, 2, 5], [4] * 9, most=4)
    assert bench.step() == 1
    assert bench.step() == 2
    assert set(bench.scheduler.admission.running) == {first, same}
    bench.all_steps()
    assert all(run.future.result().stop == "length" for run in (first, other, same))


def test_what_never_fits_is_refused_with_its_need() -> None:
    bench = Bench(budget=10)
    run = bench.begin("a", [1, 2, 3], [4] * 9, most=8)
    bench.scheduler.admit()
    with pytest.raises(UserError, match="needs 11 tokens of cache, over the budget of 10"):
        run.future.result()
    assert not bench.scheduler.runs


def test_idle_keys_are_given_up_and_computed_again() -> None:
    bench = Bench(budget=12)
    bench.begin("a", [1] * 6, [STOP], most=4)
    bench.all_steps()
    assert bench.tree.slots.num_used == 6
    bench.begin("b", [2] * 6, [STOP], most=4)
    assert bench.all_steps() == [1]
    assert bench.tree.slots.num_used == 6  # the other group's are pending again


def test_a_set_begins_together_and_goes_on_without_who_has_ended() -> None:
    # Error 24: the first fused token read from one paraphrase.
    bench = Bench()
    sizes = []
    hook = Hook(lambda ids, logits: sizes.append(len(ids)) or logits, lockstep=3)
    runs = [bench.begin("a", [1, n], [5, STOP if n == 2 else 5, STOP], hooks=(hook,)) for n in (2, 3)]
    assert bench.step() == 2
    assert not any(run.ids for run in runs)
    runs.append(bench.begin("a", [1, 4], [5, 5, STOP], hooks=(hook,)))
    bench.all_steps()
    assert sizes == [3, 3, 2]


def test_a_member_that_never_came_counts_as_begun() -> None:
    bench = Bench()
    hook = Hook(lambda ids, logits: logits, lockstep=2)
    run = bench.begin("a", [1], [5, STOP], hooks=(hook,))
    bench.scheduler.miss(Rules(3, hooks=(hook,)))
    bench.all_steps()
    assert run.future.result().ids == [5, STOP]


def test_what_is_not_a_number_fails_its_own_tree() -> None:
    bench = Bench()
    sound, broken = bench.begin("a", [1], [5, STOP]), bench.begin("b", [1], [5, STOP])
    bench.scheduler.admit()
    bench.tree.place(bench.tree.pending(bench.scheduler.tips, 99))
    row = torch.zeros(VOCABULARY)
    root = broken.branch.tip.root_id
    bench.scheduler.advance(Outcome({sound.branch.tip: row}, {root: "layer 3"}))
    with pytest.raises(NotANumberError, match="branch 1 of group b are not numbers, first in layer 3"):
        broken.future.result()
    assert not sound.future.done()
    assert not any(node.slots for node in bench.tree.of_roots([root]))


def test_a_listener_may_close_its_own_group() -> None:
    bench = Bench()
    run = bench.begin("a", [1], [5, 5, STOP])
    other = bench.begin("a", [2], [5, 5, STOP])
    run.on_token = lambda token: bench.scheduler.close("a")
    bench.step()
    assert run.future.cancelled()
    assert other.future.cancelled()
    assert not bench.tree.nodes
