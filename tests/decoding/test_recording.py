"""Masks as they were used: any tree's equal the rule of visibility, and they are those attention took."""

import asyncio

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from branchwise import TreeDecoder
from branchwise.decoding.branches import Branch
from branchwise.decoding.held import slots
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.loop import run
from branchwise.decoding.recording import recorded
from branchwise.errors import UserError
from tests.architectures import VOCABULARY, model_of
from tests.visibility import Rule, above, check, recorded_and_ruled

token = st.integers(8, 13)
text = st.lists(token, min_size=1, max_size=6)


@st.composite
def scripts(draw: st.DrawFn) -> list[tuple]:
    """Opened prompts that begin alike (nodes are cut), forks, joins, generations, releases."""
    steps: list[tuple] = [("open", draw(text))]
    number = 1
    for _ in range(draw(st.integers(1, 7))):
        verb = draw(st.sampled_from(["open", "fork", "join", "generate", "release"]))
        some = draw(st.lists(st.integers(0, number - 1), min_size=1, max_size=3, unique=True))
        if verb == "open":
            steps.append(("open", draw(text)))
            number += 1
        elif verb == "fork":
            texts = draw(st.lists(text, min_size=1, max_size=3))
            steps.append(("fork", some[0], texts))
            number += len(texts)
        elif verb == "join":
            steps.append(("join", some, draw(text)))
            number += 1
        else:
            steps.append((verb, some))
    return [*steps, ("generate", list(range(number)))]


async def follow(decoder: TreeDecoder, steps: list[tuple], group: str) -> None:
    """Do what a script says; the first branch stands in for those that were let go of."""
    branches: list[Branch] = []
    for verb, one, *texts in steps:
        if verb == "open":
            branches.append(decoder.open(one, group))
        elif verb == "fork":
            branches += decoder.fork(branches[one], *texts)
        elif verb == "join":
            branches.append(decoder.join([branches[i] for i in one], *texts))
        elif verb == "generate":
            some = list(dict.fromkeys(branches[i] for i in one))
            await asyncio.gather(*(decoder.generate(branch, 3) for branch in some))
        else:
            for i in one:
                if branches[i] is not branches[0]:
                    decoder.release(branches[i])
                    branches[i] = branches[0]
    decoder.close(group)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen3", "gemma3"])
@settings(max_examples=12)
@given(
    some=st.lists(scripts(), min_size=1, max_size=2),
    chunk=st.sampled_from([2, 4096]),
    holes=st.sampled_from([1, slots.FEWEST_HOLES]),
)
def test_any_tree_is_recorded_by_the_rule(name: str, some: list, chunk: int, holes: int) -> None:
    decoder = TreeDecoder(model_of(name), kernel="dense", max_step_tokens=chunk)

    async def all_groups() -> None:
        await asyncio.gather(*(follow(decoder, steps, f"g{n}") for n, steps in enumerate(some)))

    # Slots are moved as soon as most are holes.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slots, "FEWEST_HOLES", holes)
        with recorded_and_ruled(decoder) as (recording, rule):
            run(all_groups(), decoder.step)
    check(recording, rule)
    assert {token.group for token in recording.tokens} == {f"g{n}" for n in range(len(some))}
    assert recording.num_passes == decoder.num_forward_passes
    for one in recording.tokens:
        assert one.id in range(VOCABULARY)
        groups = {recording.tokens[number].group for number in one.seen}
        assert groups == {one.group}


async def two_branches(decoder: TreeDecoder) -> None:
    trunk = decoder.open([9, 10, 11], "g")
    left, right = decoder.fork(trunk, [[12, 13], [14]])
    await asyncio.gather(decoder.generate(left, 3), decoder.generate(right, 3))
    await decoder.generate(decoder.join([left, right], [15, 16]), 2)
    decoder.close("g")


def test_isolated_branches_never_see_each_other() -> None:
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense")
    with recorded(decoder) as recording:
        run(two_branches(decoder), decoder.step)
    sides = {}
    for number, one in enumerate(recording.tokens):
        path = above(one.node)
        for side, ids in (("left", [12, 13]), ("right", [14])):
            is_end = one.node.parents and len(one.node.parents) > 1
            if any(node.tokens == ids for node in path) and 15 not in [t for n in path for t in n.tokens]:
                assert not is_end
                sides[number] = side
    assert set(sides.values()) == {"left", "right"}
    for number, side in sides.items():
        assert {sides[n] for n in recording.tokens[number].seen if n in sides} == {side}
    joined = next(one for one in recording.tokens if one.id == 15 and len(one.node.parents) == 2)
    assert {sides[n] for n in joined.seen if n in sides} == {"left", "right"}
    assert [run.branch.number for run in recording.runs] == [2, 3, 4]
    assert list(recording.made.values()) == recording.runs


def test_what_is_recorded_is_what_attention_took(monkeypatch) -> None:
    """Row by row the same number of keys as in the mask that torch was given; a step of one row that
    sees everything is given none.
    """
    taken: list[torch.Tensor | None] = []
    attend = functional.scaled_dot_product_attention

    def noted(query, key, value, attn_mask=None, **more):
        # Outside of a step of the tree the mask is another's.
        taken.append(attn_mask)
        return attend(query, key, value, attn_mask, **more)

    decoder = TreeDecoder(model_of("llama"), kernel="dense")
    layers = decoder.model.config.num_hidden_layers
    with recorded(decoder) as recording:
        monkeypatch.setattr(functional, "scaled_dot_product_attention", noted)
        run(two_branches(decoder), decoder.step)
    assert len(taken) == layers * recording.num_passes
    for number in range(recording.num_passes):
        rows = [one for one in recording.tokens if one.forward_pass == number]
        for mask in taken[layers * number : layers * (number + 1)]:
            if mask is None:
                assert len(rows) == 1
                continue
            # Query heads of a key head stand below each other.
            heads = mask.reshape(-1, len(rows), mask.shape[-1])
            assert bool((heads == heads[:1]).all())
            assert heads[0].sum(-1).tolist() == [len(one.seen) for one in rows]


def test_a_leak_in_the_mask_is_recorded(monkeypatch) -> None:
    """It is the mask, not the idea of it."""
    decoder = TreeDecoder(model_of("llama"), kernel="dense")

    def leaking(tree: TokenTree, slots_N: torch.Tensor) -> torch.Tensor:
        used = slice(0, tree.slots.high)
        return (tree.node_S[used] > 0) & (tree.order_S[used] <= tree.order_S[slots_N, None])

    monkeypatch.setattr(TokenTree, "mask", leaking)
    with recorded_and_ruled(decoder) as (recording, rule):
        run(two_branches(decoder), decoder.step)
    assert [set(one.seen) for one in recording.tokens] != rule.rows


@pytest.mark.parametrize(
    ("name", "window", "windows"),
    [("llama", None, set()), ("gemma3", None, {9}), ("mistral_windowed", 9, {9})],
)
def test_windows_are_named(name: str, window: int | None, windows: set[int]) -> None:
    decoder = TreeDecoder(model_of(name), kernel="dense")

    async def script() -> None:
        await decoder.generate(decoder.open(list(range(9, 29)), "g"), 2)
        decoder.close("g")

    with recorded(decoder) as recording:
        run(script(), decoder.step)
    assert (recording.window, recording.windows) == (window, windows)
    assert len(recording.tokens[19].seen) == (20 if window is None else window)


def test_recording_goes_on_after_an_error(monkeypatch) -> None:
    decoder = TreeDecoder(model_of("llama"), kernel="dense")
    with recorded(decoder) as recording:
        run(two_branches(decoder), decoder.step)
        first = len(recording.tokens)
        with monkeypatch.context() as patch:
            patch.setattr(type(decoder.model), "forward", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                run(two_branches(decoder), decoder.step)
        run(two_branches(decoder), decoder.step)
    rows = [one.seen for one in recording.tokens]
    assert [tuple(n - first for n in row) for row in rows[first:]] == rows[:first]


def test_nobody_looks_on_before_and_after() -> None:
    decoder = TreeDecoder(model_of("llama"), kernel="dense")
    assert decoder._forward.observer is None
    with recorded(decoder) as recording:
        assert decoder._forward.observer is not None
    assert decoder._forward.observer is None
    run(two_branches(decoder), decoder.step)
    assert not recording.tokens


def test_what_cannot_be_recorded_is_refused() -> None:
    with (
        pytest.raises(UserError, match="has kernel cascade"),
        recorded(TreeDecoder(model_of("llama"), kernel="cascade")),
    ):
        pass
    with pytest.raises(UserError, match="has no tree"), recorded(object()):
        pass
    decoder = TreeDecoder(model_of("llama"), kernel="dense")

    async def script() -> None:
        await decoder.generate(decoder.open([9, 10], "g"), 2)

    run(script(), decoder.step)
    with pytest.raises(UserError, match="nobody has recorded"), recorded(decoder):
        pass


def test_the_rule_itself() -> None:
    """Three tokens in a row, by hand."""
    decoder = TreeDecoder(model_of("llama"), kernel="dense")
    rule = Rule()
    decoder.observe(rule.note)

    async def script() -> None:
        left, right = decoder.fork(decoder.open([9], "g"), [[10], [11]])
        await asyncio.gather(decoder.generate(left, 1), decoder.generate(right, 1))

    run(script(), decoder.step)
    assert sorted(map(sorted, rule.rows)) == [[0], [0, 1], [0, 2]]
