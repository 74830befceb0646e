"""Queries, keys and values in one call: each what its own product gives, to the last bit."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.native.project import Project, Projection
from branchwise.decoding.native.rows import RowProduct
from tests.decoding.native.drawing import drawn
from tests.decoding.native.threads import with_threads

WIDTH = 8


@settings(max_examples=30)
@given(
    num_rows=st.sampled_from([1, 4, 10, 11, 33, 108]),
    depth=st.sampled_from([7, 48, 641, 1100]),
    heads=st.sampled_from([(1, 1), (6, 2), (9, 3)]),
    is_biased=st.booleans(),
    threads=st.sampled_from([1, 2, 5]),
)
def test_each_is_its_own_product(built, num_rows, depth, heads, is_biased, threads) -> None:
    """Few rows and many, of fewer columns than are turned at a time and of more."""
    num_heads, num_kv = heads
    check(built, num_rows, depth, (num_heads, num_kv, num_kv), is_biased, threads)


def test_few_rows_of_very_many_columns(built) -> None:
    check(built, 9, 13000, (3, 1, 1), True, 2)


def check(built, num_rows: int, depth: int, heads: tuple, is_biased: bool, threads: int) -> None:
    rows = drawn(1, num_rows, depth)
    parts = []
    for seed, count in enumerate(heads, start=1):
        bias = drawn(count * WIDTH, seed=seed) if is_biased else None
        parts.append(Projection(drawn(count * WIDTH, depth, seed=seed), bias, None))
    # Of angle zero nothing is turned.
    cos, sin = torch.ones(1, num_rows, WIDTH), torch.zeros(1, num_rows, WIDTH)
    project = Project(built).of(tuple(parts), WIDTH, 1e-6, 0.0)
    got = with_threads(threads, lambda: torch.cat([one.flatten(1) for one in project(rows, cos, sin)], 1))
    wanted = [RowProduct(built).of(part.weight, part.bias)(rows) for part in parts]
    shaped = [one.view(1, num_rows, -1, WIDTH).transpose(1, 2).flatten(1) for one in wanted]
    assert torch.equal(got, torch.cat(shaped, 1))
