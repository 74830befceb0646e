"""Branches that peek: each token sees what stands at earlier positions in the others, and no more."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.options import Grid2D, Positions, layout_of
from branchwise.decoding.requests import Rules, together
from branchwise.errors import DoesNotFit, UserError
from branchwise.training.sequences import Document
from tests.architectures import VOCABULARY, model_of
from tests.decoding.test_verbs import masks_of
from tests.together import answered, ask_mixed, generate_forked, packed_logits

NUM_TOKENS = 6


def drawn(seed: int, number: int = 3) -> tuple[list[int], list[list[int]]]:
    """A trunk and what some branches have of their own, of unequal length."""
    draw = random.Random(seed)
    one = lambda count: [draw.randrange(8, VOCABULARY) for _ in range(count)]  # noqa: E731
    return one(6), [one(draw.randint(1, 5)) for _ in range(number)]


def starts(rests: list[list[int]], layout: str) -> list[int]:
    longest = max(map(len, rests))
    return [longest - len(rest) if layout == "shared" else 0 for rest in rests]


@pytest.mark.parametrize("architecture", ["qwen3", "llama", "mistral_windowed", "gemma2"])
def test_it_is_a_plain_pass_under_the_rule(architecture: str) -> None:
    """The last logits of each branch, against one pass of the model under a mask written down here."""
    model = model_of(architecture)
    trunk, rests = drawn(1)
    made, logits = generate_forked(CompletingEngine(model), trunk, rests, NUM_TOKENS, True, "shared")
    said = [list(one.ids[:-1]) for one in made]
    runs = [trunk, *(rest + new for rest, new in zip(rests, said, strict=True))]
    begins = [0, *(len(trunk) + start for start in starts(rests, "shared"))]
    tokens = [(run, begin + at) for run, begin in enumerate(begins) for at in range(len(runs[run]))]
    ids = torch.tensor([[token for run in runs for token in run]])
    mask = torch.tensor(
        [
            [
                ((other == 0 or other == run) and there <= here)
                or (other not in (0, run) and run != 0 and there < here)
                for other, there in tokens
            ]
            for run, here in tokens
        ]
    )
    positions = [position for _, position in tokens]
    with torch.no_grad():
        plain = model(
            ids,
            attention_mask=masks_of(model, mask, positions),
            position_ids=torch.tensor([positions]),
            use_cache=False,
        ).logits[0]
    for run, kept in enumerate(logits, start=1):
        last = max(at for at, (other, _) in enumerate(tokens) if other == run)
        first = last - len(said[run - 1])
        torch.testing.assert_close(torch.stack(kept), plain[first : last + 1], atol=1e-4, rtol=0)


@settings(max_examples=15)
@given(
    seed=st.integers(0, 100),
    kernel=st.sampled_from(["dense", "mixed"]),
    number=st.integers(2, 4),
    budget=st.one_of(st.none(), st.integers(90, 200)),
)
def test_the_order_of_branches_does_not_matter(
    seed: int, kernel: str, number: int, budget: int | None
) -> None:
    """By column and not by the order of writing: turned round, each says the same."""
    model = model_of("qwen3")
    trunk, rests = drawn(seed, number)
    engine = CompletingEngine(model, kernel=kernel, max_cache_tokens=budget)
    _, logits = generate_forked(engine, trunk, rests, NUM_TOKENS, True, "shared")
    _, turned = generate_forked(CompletingEngine(model), trunk, rests[::-1], NUM_TOKENS, True, "shared")
    for mine, other in zip(logits, turned[::-1], strict=True):
        torch.testing.assert_close(torch.stack(mine), torch.stack(other), atol=1e-4, rtol=0)
    assert engine.slots_in_use == 0


@pytest.mark.parametrize("positions", ["path", "shared", "grid2d", "grid2d_shared"])
@pytest.mark.parametrize("grid", [Grid2D(stride=5), Grid2D(512, (0, 1, 2), "x")])
@pytest.mark.parametrize("peek", [False, True])
def test_a_training_pass_has_the_logits_of_decoding(
    peek: bool, positions: Positions, grid: Grid2D
) -> None:
    """Must hold: teacher-forced logits over a packed tree are the tree decoder's, step by step."""
    if peek and layout_of(positions) == "path":
        pytest.skip("they would not end together")
    model = model_of("qwen3")
    trunk, rests = drawn(9)
    engine = CompletingEngine(model, positions=positions, grid=grid)
    made, logits = generate_forked(engine, trunk, rests, NUM_TOKENS, peek)
    shifts = starts(rests, layout_of(positions))
    is_grid = positions.startswith("grid2d")
    stride = grid.stride if is_grid else 0
    sequences = [
        answered([*trunk, *rest], one, shift, number * stride)
        for number, (rest, one, shift) in enumerate(zip(rests, made, shifts, strict=True))
    ]
    other = Document([answered([9, 10, 11], made[0])], "another")
    documents = [other, Document(sequences, peeks=peek)]
    spans = packed_logits(model, documents, grid=grid if is_grid else None)[1:]
    for span, kept in zip(spans, logits, strict=True):
        torch.testing.assert_close(span, torch.stack(kept), atol=1e-4, rtol=0)


def test_without_peeking_it_is_what_separate_prompts_say() -> None:
    model = model_of("qwen3")
    trunk, rests = drawn(4)
    made, _ = generate_forked(CompletingEngine(model), trunk, rests, NUM_TOKENS, False)
    prompts = [[*trunk, *rest] for rest in rests]
    plain = CompletingEngine(model).complete(prompts, NUM_TOKENS)
    stop = model.config.eos_token_id
    assert [[i for i in one.ids if i != stop] for one in made] == plain
    _, peeking = generate_forked(CompletingEngine(model), trunk, rests, 1, True, "shared")
    _, alone = generate_forked(CompletingEngine(model), trunk, rests, 1, False, "shared")
    longest = max(range(len(rests)), key=lambda number: len(rests[number]))
    assert (peeking[longest][0] - alone[longest][0]).abs().max() > 1e-3


@pytest.mark.parametrize("kernel", ["cascade", "flex"])
def test_kernels_that_cannot_say_so(kernel: str) -> None:
    engine = CompletingEngine(model_of("qwen3"), kernel=kernel)
    assert "peek" not in engine.offers
    with pytest.raises(UserError, match="kernel does not let branches peek; set `kernel:` to one"):
        generate_forked(engine, *drawn(1), 2, True)


def test_what_peeks_enters_a_pass_whole() -> None:
    trunk, rests = drawn(1)
    need = sum(map(len, rests))
    engine = CompletingEngine(model_of("qwen3"), max_step_tokens=need)
    made, _ = generate_forked(engine, trunk, rests, 3, True, "shared")
    assert len(made) == 3
    engine = CompletingEngine(model_of("qwen3"), max_step_tokens=need - 1)
    with pytest.raises(DoesNotFit, match=f"need {need} tokens in one, over the {need - 1} of a pass"):
        generate_forked(engine, trunk, rests, 3, True, "shared")


def test_what_peeks_ends_together() -> None:
    engine = CompletingEngine(model_of("qwen3"))
    with pytest.raises(UserError, match="of unequal length.*positions='shared'"):
        generate_forked(engine, [9, 10], [[11], [12, 13]], 2, True, "path")
    made, _ = generate_forked(engine, [9, 10], [[11, 12], [13, 14]], 2, True, "path")
    assert len(made) == 2


def test_whole_prompts_do_not_peek_and_forks_do_not_mix() -> None:
    engine = CompletingEngine(model_of("qwen3"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.together.together", lambda n, **_: together(n, peeks=True))
        with pytest.raises(UserError, match="whole prompts, and branches that were computed already"):
            ask_mixed(engine, [[[9, 10], [9, 11]]], 2)
    with pytest.raises(UserError, match=r"two hooks of a branch move in lockstep; fuse, mix or peek"):
        Rules(2, hooks=(together(2, peeks=True), together(2, peeks=True)))
