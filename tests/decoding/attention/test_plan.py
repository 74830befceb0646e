"""The cascade's plan is the tree's mask, every key once."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.attention import plan as plans
from branchwise.decoding.attention.plan import Gathered, Plan, make_plan
from branchwise.decoding.held.tree import TokenTree

CPU = torch.device("cpu")


def covered(plan: Plan, num_rows: int, num_slots: int) -> torch.Tensor:
    """How often each row reads each slot, int64 (N, S)."""
    times_NS = torch.zeros(num_rows, num_slots, dtype=torch.long)
    for part in (*plan.own, *plan.shared):
        if isinstance(part, Gathered):
            rows_M = torch.arange(num_rows)[part.row_M]
            assert len(rows_M.unique()) == len(rows_M), "a row is twice in one part"
            at_M = torch.arange(part.rows_PR.numel()) if part.at_M is None else part.at_M
            assert torch.equal(part.rows_PR.flatten()[at_M], rows_M)
            for at in at_M.tolist():
                p, r = divmod(at, part.rows_PR.shape[1])
                keys_K = part.keys_PK[p][part.seen_PRK[p, r]]
                times_NS[part.rows_PR[p, r]].index_add_(0, keys_K, torch.ones_like(keys_K))
            continue
        rows = torch.arange(num_rows)[part.rows].tolist()
        keys = torch.arange(num_slots)[part.keys].tolist()
        for i, row in enumerate(rows):
            for key in keys[: i + 1] if part.causal else keys:
                times_NS[row, key] += 1
    return times_NS


@st.composite
def trees(draw: st.DrawFn) -> list[tuple[list[int], int]]:
    """Parents and size of each node, parents first, all below one root."""
    nodes: list[tuple[list[int], int]] = [([], draw(st.integers(0, 5)))]
    for number in range(1, draw(st.integers(1, 9))):
        parents = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=2, unique=True))
        nodes.append((parents, draw(st.integers(1, 6))))
    return nodes


@settings(max_examples=150)
@given(
    nodes=trees(),
    limits=st.lists(st.integers(1, 20), min_size=40, max_size=40),
    replicated=st.sampled_from([0, plans.REPLICATED]),
    long=st.sampled_from([2, plans.LONG_RUN]),
    more=st.integers(0, 3),
)
def test_a_plan_is_the_mask(nodes, limits, replicated: int, long: int, more: int) -> None:
    tree = TokenTree(CPU)
    made = []
    for parents, size in nodes:
        made.append(tree.add(tuple(made[p] for p in parents), [0] * size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plans, "REPLICATED", replicated)
        patch.setattr(plans, "LONG_RUN", long)
        patch.setattr(plans, "LONG_CHUNK", long)

        def check(step, slots_N: torch.Tensor, plan: Plan) -> None:
            times_NS = covered(plan, len(step.tokens), tree.slots.high)
            assert torch.equal(times_NS, tree.mask(slots_N).long())

        for limit in limits:
            step = tree.pending(made, limit)
            if not step.tokens:
                break
            slots_N = torch.tensor(tree.place(step))
            check(step, slots_N, make_plan(step, tree.device))
        # Leaves then take a token a step: the plan grows along.
        leaves = [tree.add((node,)) for node in made if not node.num_pending]
        plan = None
        for _ in range(more):
            for leaf in leaves:
                leaf.tokens.append(0)
            step = tree.pending(leaves, 10**6)
            slots_N = torch.tensor(tree.place(step))
            plan = make_plan(step, tree.device) if plan is None else plan.grown(slots_N)
            check(step, slots_N, plan)


@pytest.mark.parametrize("longest", [40, 3000])
def test_one_long_row_does_not_pad_all_others(longest: int) -> None:
    """A branch that is left alone with its long prompt, among many short ones."""
    tree = TokenTree(CPU)
    nodes = [tree.add((tree.add((), [0]),), [0] * 30) for _ in range(400)]
    nodes.append(tree.add((), [0] * longest))
    tree.place(tree.pending(nodes, 10**6))
    for node in nodes:
        node.tokens.append(0)
    step = tree.pending(nodes, 10**6)
    tree.place(step)
    plan = make_plan(step, tree.device)
    gathered = [part for part in (*plan.own, *plan.shared) if isinstance(part, Gathered)]
    read = sum(part.keys_PK.numel() for part in gathered)
    needed = sum(int(part.seen_PRK.any(1).sum()) for part in gathered)
    assert read <= 2 * needed + plans.REPLICATED
