"""What a step knows: its mask, its window, and when nothing has to be masked."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree

CPU = torch.device("cpu")


def step_of(tree: TokenTree, nodes, limit: int = 10**6) -> TreeStep:
    pending = tree.pending(nodes, limit)
    slots = tree.place(pending)
    return TreeStep(
        tree, pending, slots, torch.tensor(slots), torch.tensor(pending.positions), tree.slots.high
    )


def chain(*lengths: int):
    """A tree of one branch, all but its last token computed."""
    tree = TokenTree(CPU)
    node = None
    for length in lengths:
        node = tree.add((node,) if node else (), [0] * length)
    tree.place(tree.pending([node], sum(lengths) - 1))
    return tree, node


def test_one_token_alone_in_the_tree_sees_everything() -> None:
    tree, node = chain(5, 3, 2)
    step = step_of(tree, [node])
    assert step.sees_everything(None)
    assert bool(step.mask(None).all())
    assert step.sees_everything(10)
    # Its position is 9: in a window of 9 the first token is too far away.
    assert not step.sees_everything(9)
    assert step.mask(9).tolist() == [[False] + [True] * 9]


def test_beside_anything_else_something_is_to_be_masked() -> None:
    tree, node = chain(5, 3)
    other = tree.add((), [0, 0])
    tree.place(tree.pending([other], 9))
    assert not step_of(tree, [node]).sees_everything(None)
    tree, node = chain(5)
    node.tokens.append(0)
    assert not step_of(tree, [node]).sees_everything(
        None
    )  # two tokens: the first does not see the second


@settings(max_examples=40)
@given(
    runs=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    window=st.sampled_from([None, 3, 8]),
    groups=st.sampled_from([1, 2]),
    cap=st.sampled_from([None, 20.0]),
    data=st.data(),
)
def test_kernels_agree_on_any_tree(runs, window, groups, cap, data: st.DataObject) -> None:
    """Every kernel against attention written out under the step's mask."""
    tree = TokenTree(CPU)
    nodes = [tree.add((), [0] * runs[0])]
    for length in runs[1:]:
        parents = data.draw(st.sets(st.integers(0, len(nodes) - 1), min_size=1, max_size=2))
        nodes.append(tree.add(tuple(nodes[i] for i in sorted(parents)), [0] * length))
    for _ in range(data.draw(st.integers(0, 2))):
        if (some := tree.pending(nodes, data.draw(st.integers(1, 5)))).tokens:
            tree.place(some)
    if not any(node.num_pending for node in nodes):
        nodes[-1].tokens.append(0)
    step = step_of(tree, nodes)
    generator = torch.Generator().manual_seed(1)
    query = torch.randn(1, 2 * groups, len(step.slots_N), 8, generator=generator)
    key, value = torch.randn(2, 1, 2, step.num_slots, 8, generator=generator)
    scores = query @ key.repeat_interleave(groups, 1).transpose(-1, -2) * 0.3
    scores = scores if cap is None else cap * torch.tanh(scores / cap)
    weights = scores.masked_fill(~step.mask(window), -torch.inf).softmax(-1)
    expected = (weights @ value.repeat_interleave(groups, 1)).transpose(1, 2)
    for name in ("dense", "cascade", "fused"):
        kernel = KERNELS[name](TreeCache())
        kernel.begin(step)
        got = kernel.attend(query, key, value, Scoring(0.3, cap, window))
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
        assert kernel.num_calls == 1
