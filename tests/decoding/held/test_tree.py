"""The token tree against the plainest statement of its rule."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.held.slots import SlotAllocator
from branchwise.decoding.held.tree import Node, TokenTree

CPU = torch.device("cpu")
prompts = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=7), min_size=1, max_size=8)


def path(node: Node) -> list[tuple[Node, int]]:
    """All tokens that `node` holds or inherits, first to last (one parent each)."""
    above = path(node.parents[0]) if node.parents else []
    return above + [(node, i) for i in range(len(node.tokens))]


@given(prompts, st.integers(1, 9))
def test_every_leaf_spells_its_prompt_and_positions_run_on(texts, limit: int) -> None:
    tree = TokenTree(CPU)
    root = tree.add(())
    tree.hold(root)
    leaves = [tree.insert(root, text)[0] for text in texts]
    for text, leaf in zip(texts, leaves, strict=True):
        spelled = path(leaf)
        assert [node.tokens[i] for node, i in spelled] == text
        assert [node.start + i for node, i in spelled] == list(range(len(text)))
    while (step := tree.pending(leaves, limit)).tokens:
        assert len(step.tokens) <= limit
        tree.place(step)
    assert all(leaf.num_pending == 0 for leaf in leaves)


@settings(max_examples=60)
@given(prompts, st.integers(1, 9))
def test_the_mask_is_the_rule(texts, limit: int) -> None:
    """A token sees exactly the tokens of its own prompt up to itself."""
    # Error 28: a mask that forgets older tokens of other branches.
    tree = TokenTree(CPU)
    root = tree.add(())
    leaves = [tree.insert(root, text)[0] for text in texts]
    while (step := tree.pending(leaves, limit)).tokens:
        slots = tree.place(step)
        mask_NS = tree.mask(torch.tensor(slots))
        assert mask_NS.any(1).all()
        for row, slot in enumerate(slots):
            node = step.nodes[row]
            here = node.slots.index(slot)
            expected = {n.slots[i] for n, i in path(node) if n is not node or i <= here}
            assert set(mask_NS[row].nonzero().flatten().tolist()) == expected


@given(prompts)
def test_shared_prefixes_are_held_once(texts) -> None:
    tree = TokenTree(CPU)
    root = tree.add(())
    leaves, shared = zip(*(tree.insert(root, text) for text in texts), strict=True)
    assert shared[0] == 0
    tree.place(tree.pending(leaves, 10**6))
    assert tree.slots.num_used == sum(len(text) for text in texts) - sum(shared)
    # The last token is never shared, so that every prompt has logits of its own.
    assert all(count < len(text) for count, text in zip(shared, texts, strict=True))


@given(prompts, st.data())
def test_leaving_in_any_order_frees_everything(texts, data: st.DataObject) -> None:
    tree = TokenTree(CPU)
    root = tree.add(())
    tree.hold(root)
    leaves = [tree.insert(root, text)[0] for text in texts]
    tree.place(tree.pending(leaves, 10**6))
    for leaf in data.draw(st.permutations(leaves)):
        tree.release(leaf)
    tree.release(root)
    assert tree.slots.num_used == 0
    assert tree.slots.high == 0
    assert not tree.nodes
    assert not tree.node_S.any()


def test_a_join_sees_all_its_parents() -> None:
    # Error 28: a mask that forgets older tokens of other branches.
    tree = TokenTree(CPU)
    root = tree.add((), [1, 2])
    left, right = tree.add((root,), [3]), tree.add((root,), [4, 5])
    joined = tree.add((left, right), [6])
    step = tree.pending([joined], 100)
    assert [node for node in step.nodes if node is joined] == [joined]
    mask_NS = tree.mask(tree.place(step))
    assert mask_NS[-1].all()
    assert joined.start == right.end


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=40))
def test_slots_are_never_given_twice(actions) -> None:
    slots = SlotAllocator()
    taken: list[list[int]] = []
    for take, count in actions:
        if take or not taken:
            taken.append(slots.take(count))
        else:
            slots.give_back(taken.pop(count % len(taken)))
        used = [slot for part in taken for slot in part]
        assert len(set(used)) == len(used) == slots.num_used
        assert slots.high == max(used, default=-1) + 1
