"""Attention in segments: the plain formula's, and the same bits for any number of threads."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from branchwise.decoding.native.attend import Attend, Lists
from tests.decoding.native.drawing import drawn
from tests.decoding.native.threads import with_threads

SLOTS = 700


class Segment(NamedTuple):
    """Keys, and of each row that sees some of them which: from a first on, to a last + 1."""

    slots: list[int]
    runs: dict[int, tuple[int, int]]


def listed(segments: Sequence[Segment], num_rows: int) -> Lists:
    sizes = [len(segment.slots) for segment in segments]
    counts = [len(segment.runs) for segment in segments]
    runs = [run for segment in segments for run in segment.runs.values()]
    return Lists(
        num_rows,
        np.array([row for segment in segments for row in segment.runs], dtype=np.int32),
        np.array([low for low, _ in runs], dtype=np.int32),
        np.array([high for _, high in runs], dtype=np.int32),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([slot for segment in segments for slot in segment.slots], dtype=np.int32),
        np.concatenate([[0], np.cumsum(sizes)])[:-1].astype(np.int64),
        np.array(sizes, dtype=np.int32),
    )


def by_formula(
    segments: Sequence[Segment], query: Tensor, key: Tensor, value: Tensor, cap: float | None = None
) -> Tensor:
    """(1, N, A, V) in float64."""
    num_heads, num_rows = query.shape[1:3]
    shared = num_heads // key.shape[1]
    seen_NS = torch.zeros(num_rows, SLOTS, dtype=torch.bool)
    for slots, runs in segments:
        for row, (low, high) in runs.items():
            seen_NS[row, slots[low:high]] = True
    keys, values = (one.double().repeat_interleave(shared, 1) for one in (key, value))
    scores = 0.2 * query.double() @ keys.transpose(2, 3)
    if cap is not None:
        scores = cap * (scores / cap).tanh()
    return (scores.masked_fill(~seen_NS, -torch.inf).softmax(-1).nan_to_num(0) @ values).transpose(1, 2)


def given_by(
    attend: Attend, lists: Lists, query: Tensor, key: Tensor, value: Tensor, cap: float | None = None
) -> Tensor:
    arranged = attend.arranged(lists, query.shape[1] // key.shape[1])
    return attend(query, key, value, arranged, 0.2, cap).clone()


@st.composite
def segments_of(draw: st.DrawFn, num_rows: int) -> list[Segment]:
    """Slots of no two segments are the same: a key is seen once."""
    random = draw(st.randoms(use_true_random=False))
    slots = random.sample(range(SLOTS), SLOTS)
    segments = []
    for size in draw(st.lists(st.sampled_from([1, 3, 16, 63, 64, 65, 130]), min_size=1, max_size=5)):
        rows = sorted(random.sample(range(num_rows), random.randint(1, num_rows)))
        lows = [random.choice([0, 0, random.randrange(size + 1)]) for _ in rows]
        runs = {row: (low, random.randint(low, size)) for row, low in zip(rows, lows, strict=True)}
        segments.append(Segment([slots.pop() for _ in range(size)], runs))
    return segments


@settings(max_examples=60)
@given(
    data=st.data(),
    num_rows=st.sampled_from([1, 2, 5, 26, 50]),
    num_kv=st.sampled_from([1, 3]),
    shared=st.sampled_from([1, 3, 7]),
    width=st.sampled_from([7, 24, 64, 128, 200]),
    value_width=st.sampled_from([5, 48, 64, 144]),
    cap=st.sampled_from([None, None, 1.5]),
)
def test_it_is_the_formula(built, data, num_rows, num_kv, shared, width, value_width, cap) -> None:
    """Any rows see any runs of keys, or none, which lie anywhere."""
    segments = data.draw(segments_of(num_rows))
    query = drawn(1, num_kv * shared, num_rows, width, seed=1)
    key, value = drawn(1, num_kv, SLOTS, width, seed=2), drawn(1, num_kv, SLOTS, value_width, seed=3)
    attend, lists = Attend(built), listed(segments, num_rows)
    got = given_by(attend, lists, query, key, value, cap)
    wanted = by_formula(segments, query, key, value, cap)
    torch.testing.assert_close(got.double(), wanted, atol=2e-5, rtol=0)
    for threads in (2, 3):
        again = with_threads(threads, lambda: given_by(attend, lists, query, key, value, cap))
        assert torch.equal(again, got)


@pytest.mark.parametrize("threads", [1, 2])
def test_parts_of_very_many_rows(built, threads: int) -> None:
    """More than the caches hold: they go past them."""
    num_rows, num_heads, width = 1100, 8, 64
    every = dict.fromkeys(range(num_rows), (0, 5))
    segments = [Segment(list(range(5)), every), Segment(list(range(5, 10)), every)]
    assert 2 * num_rows * num_heads * width >= built.much()
    query = drawn(1, num_heads, num_rows, width, seed=1)
    key, value = drawn(1, 2, SLOTS, width, seed=2), drawn(1, 2, SLOTS, width, seed=3)
    lists = listed(segments, num_rows)
    got = with_threads(threads, lambda: given_by(Attend(built), lists, query, key, value))
    torch.testing.assert_close(got.double(), by_formula(segments, query, key, value), atol=2e-5, rtol=0)
    # A single row's parts are few, and go nowhere.
    alone = [Segment(segment.slots, {0: (0, 5)}) for segment in segments]
    few = given_by(Attend(built), listed(alone, 1), query[:, :, :1], key, value)
    assert torch.equal(got[:, :1], few)
