"""The compiled cascade: refused where it cannot serve, and right over the steps that it goes on from."""

import copy
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise import TreeDecoder
from branchwise.decoding.attention.fused import Fused
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.segments import _ROOM
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.native.library import library
from branchwise.errors import UserError
from tests.architectures import model_of
from tests.decoding.attention.test_step import step_of
from tests.decoding.native.threads import with_threads

pytestmark = pytest.mark.skipif(isinstance(library(), str), reason=f"no library here: {library()}")
CPU = torch.device("cpu")


def expected(step: TreeStep, query, key, value, window: int | None) -> torch.Tensor:
    groups = query.shape[1] // key.shape[1]
    scores = query @ key.repeat_interleave(groups, 1).transpose(-1, -2) * 0.3
    weights = scores.masked_fill(~step.mask(window), -torch.inf).softmax(-1)
    return (weights @ value.repeat_interleave(groups, 1)).transpose(1, 2)


@settings(max_examples=25)
@given(
    num_tips=st.integers(1, 6),
    prefix=st.sampled_from([1, 40, 530, 1100]),
    own=st.integers(1, 70),
    steps=st.sampled_from([2, 5, _ROOM + 3]),
    window=st.sampled_from([None, 25]),
    width=st.sampled_from([8, 16, 40]),
    value_width=st.sampled_from([8, 24]),
)
def test_steps_that_go_on_from_each_other(
    num_tips, prefix, own, steps, window, width, value_width
) -> None:
    """Long prefixes are split into runs; a row's own keys outgrow their room; widths of any kind."""
    generator = torch.Generator().manual_seed(prefix + own)
    tree, kernel = TokenTree(CPU), Fused(TreeCache())
    root = tree.add((), [0] * prefix)
    tips = [tree.add((root,), [0] * own) for _ in range(num_tips)]
    for number in range(steps):
        step = step_of(tree, tips)
        count = len(step.slots)
        query = torch.randn(1, 6, count, width, generator=generator)
        key = torch.randn(1, 2, step.num_slots, width, generator=generator)
        value = torch.randn(1, 2, step.num_slots, value_width, generator=generator)
        kernel.begin(step)
        attend = partial(kernel.attend, query, key, value, Scoring(0.3, None, window))
        got = attend()
        if number < 2 or number == steps - 1:
            wanted = expected(step, query, key, value, window)
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=0)
            again = with_threads(3, attend)
            assert torch.equal(got, again)
        for tip in tips:
            tip.tokens.append(0)


def test_another_dtype_is_refused_at_once_and_later() -> None:
    model = copy.deepcopy(model_of("llama"))
    decoder = TreeDecoder(model, kernel="fused")
    model.to(torch.bfloat16)
    with pytest.raises(UserError, match="kernel fused cannot be used here: it is for fp32 on the CPU"):
        TreeDecoder(model, kernel="fused")
    with pytest.raises(UserError, match="make the decoder anew"):
        decoder.complete([[9, 10, 11], [9, 10, 12]], 3)


@pytest.mark.parametrize("num_tips", [1, 2])
def test_what_is_no_number_stays_none(num_tips: int) -> None:
    """Of one tip all keys are one segment; two share a prefix, which is merged with their own."""
    tree, kernel = TokenTree(CPU), Fused(TreeCache())
    root = tree.add((), [0] * 5)
    tips = [tree.add((root,), [0, 0]) for _ in range(num_tips)]
    kernel.begin(step := step_of(tree, tips))
    query, key, value = (torch.randn(1, 2, step.num_slots, 8) for _ in range(3))
    key[0, 0, 1] = torch.nan
    out = kernel.attend(query, key, value, Scoring(0.3, None, None))
    assert out[0, 1:, 0].isnan().all() and not out[0, :, 1].isnan().any()
