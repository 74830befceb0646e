"""Positions: `shared` ends siblings together, `grid2d` turns some channels by the branch."""

import asyncio

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.decoding.held.positions import GridRotary
from branchwise.decoding.loop import run
from branchwise.decoding.options import Grid2D
from branchwise.errors import UserError
from tests.architectures import BUILDERS, VOCABULARY, greedy, model_of


def forked(decoder: TreeDecoder, texts: list[list[int]], budget: int = 6) -> list[list[int]]:
    async def script():
        root = decoder.open([9, 10, 11, 12], "g")
        children = decoder.fork(root, texts)
        done = await asyncio.gather(*(decoder.generate(child, budget) for child in children))
        decoder.close("g")
        return [[i for i in c.ids if i not in decoder.stop_ids] for c in done]

    return run(script(), decoder.step)


@pytest.mark.parametrize("name", BUILDERS)
def test_one_branch_on_the_grid_is_plain_decoding(name: str) -> None:
    model = model_of(name)
    decoder = TreeDecoder(model, positions="grid2d", grid=Grid2D(channels=(0, 1, 2)))
    assert forked(decoder, [[20, 21]]) == [greedy(model, [9, 10, 11, 12, 20, 21], 6)]


@pytest.mark.parametrize("combine", ["add", "replace"])
def test_angles_on_the_grid_are_those_of_the_formula(combine: str) -> None:
    """Listed channels alternate between x and y; all others keep the plain angle."""
    model = model_of("llama")
    rotary = model.model.rotary_emb
    hidden = torch.zeros(1, 5, 48)
    y, x = torch.arange(5) + 3, torch.tensor([0, 0, 8, 8, 16])
    plain_cos, _ = rotary(hidden, y[None])
    grid = GridRotary(model, Grid2D(stride=8, channels=(1, 3, 4), combine=combine))
    grid.aim(x)
    with grid.attached():
        cos, sin = rotary(hidden, y[None])
    assert "forward" not in vars(rotary)
    frequency = rotary.inv_freq
    for channel in range(len(frequency)):
        turn = y
        if channel in (1, 4):
            turn = y + x if combine == "add" else x
        expected = turn * frequency[channel]
        for half in (channel, channel + len(frequency)):
            torch.testing.assert_close(cos[0, :, half], expected.cos(), atol=1e-5, rtol=0)
            torch.testing.assert_close(sin[0, :, half], expected.sin(), atol=1e-5, rtol=0)
    torch.testing.assert_close(cos[0, :, 0], plain_cos[0, :, 0])


def test_branches_on_the_grid_differ_by_their_place() -> None:
    model = model_of("qwen3")
    same = [[20, 21], [20, 21]]
    path = forked(TreeDecoder(model), same)
    options = Grid2D(stride=8, channels=(0, 1, 2, 3), axis="x")
    grid = forked(TreeDecoder(model, positions="grid2d", grid=options), same)
    assert path[0] == path[1] == grid[0]
    assert grid[1] != grid[0]


def test_shared_positions_end_siblings_at_the_same_place() -> None:
    """A short child is one whose positions begin later: the reference is told so explicitly."""
    model = model_of("qwen2")
    texts = [[20], [21, 22, 23]]
    answers = forked(TreeDecoder(model, positions="shared"), texts, budget=1)
    for ids, answer in zip(texts, answers, strict=True):
        positions = [0, 1, 2, 3, *range(7 - len(ids), 7)]
        with torch.no_grad():
            logits = model(
                torch.tensor([[9, 10, 11, 12, *ids]]),
                position_ids=torch.tensor([positions]),
                attention_mask=torch.ones(1, len(positions), dtype=torch.long),
            ).logits[0, -1]
        assert answer == [int(logits.argmax())]
    assert forked(TreeDecoder(model, positions="shared"), [[21, 22, 23]]) == [
        greedy(model, [9, 10, 11, 12, 21, 22, 23], 6)
    ]


def test_a_channel_that_is_not_there_is_refused() -> None:
    decoder = TreeDecoder(model_of("llama"), positions="grid2d", grid=Grid2D(channels=(0, 40)))
    with pytest.raises(UserError, match=r"channels \[40\] do not exist; this model has channels 0 to 5"):
        forked(decoder, [[20], [21]])
    with pytest.raises(UserError, match="the tree decoder has: path, shared, grid2d"):
        TreeDecoder(model_of("llama"), positions="polar")
    assert VOCABULARY > 40
