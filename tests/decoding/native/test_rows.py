"""The project's own matrix product: right, and the same bits for any number of rows and threads."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from branchwise.decoding.native.rows import GatedProduct, RowProduct
from tests.decoding.native.drawing import drawn
from tests.decoding.native.threads import with_threads

NUM_ROWS = st.one_of(st.integers(1, 40), st.sampled_from([96, 97, 108, 130, 200]))
DEPTHS = st.sampled_from([1, 7, 48, 191, 192, 200, 511, 640, 641, 1100])


@settings(max_examples=80)
@given(
    num_rows=NUM_ROWS,
    depth=DEPTHS,
    num_outputs=st.sampled_from([1, 2, 8, 13, 101, 160]),
    threads=st.sampled_from([1, 2, 3]),
    is_biased=st.booleans(),
)
def test_it_is_the_product_of_any_shape(built, num_rows, depth, num_outputs, threads, is_biased) -> None:
    # Not the rows' own numbers: the sums of their squares would be far larger, and round as much.
    rows, weight = drawn(num_rows, depth), drawn(num_outputs, depth, seed=10**6)
    bias = drawn(num_outputs) if is_biased else None
    got = with_threads(threads, lambda: RowProduct(built).of(weight, bias)(rows))
    exact = functional.linear(rows.double(), weight.double(), None if bias is None else bias.double())
    # fp32 sums of `depth` products of size one: a few units in the last place of the largest partial sum.
    torch.testing.assert_close(got.double(), exact, atol=4e-6 * max(1.0, depth**0.5), rtol=0)


@settings(max_examples=40)
@given(num_rows=NUM_ROWS, depth=DEPTHS, threads=st.sampled_from([1, 2]))
def test_a_row_does_not_depend_on_the_others(built, num_rows: int, depth: int, threads: int) -> None:
    rows = drawn(num_rows, depth)
    product = RowProduct(built).of(drawn(25, depth), drawn(25))
    together = with_threads(threads, lambda: product(rows))
    assert torch.equal(together, torch.cat([product(row[None]) for row in rows]))


def test_rows_in_any_order_of_memory_and_of_any_dimensions(built) -> None:
    weight = drawn(12, 20)
    product = RowProduct(built).of(weight, None)
    rows = drawn(20, 6, 3).permute(2, 1, 0)
    torch.testing.assert_close(product(rows), functional.linear(rows, weight), atol=1e-5, rtol=0)
    assert product(rows[:0]).shape == (0, 6, 12)


@settings(max_examples=30)
@given(
    num_rows=st.sampled_from([1, 5, 20, 97, 193, 513]),
    depth=st.sampled_from([7, 48, 700]),
    inner=st.sampled_from([5, 64, 131]),
    threads=st.sampled_from([1, 2]),
)
def test_a_gated_unit_is_its_formula(built, num_rows, depth, inner, threads) -> None:
    gate, up, down = drawn(inner, depth, seed=1), drawn(inner, depth, seed=2), drawn(9, inner)
    rows = 3 * drawn(num_rows, depth)
    product = GatedProduct(built).of(gate, up, down)
    got = with_threads(threads, lambda: product(rows))
    wide = [one.double() for one in (rows, gate, up, down)]
    opened = functional.silu(wide[0] @ wide[1].T) * (wide[0] @ wide[2].T)
    exact = opened @ wide[3].T
    torch.testing.assert_close(got.double(), exact, atol=2e-6 * float(exact.abs().max()), rtol=1e-5)
    assert torch.equal(got[:1], product(rows[:1]))
    for some in (1, 4, 33):
        assert torch.equal(got[-some:], product(rows[-some:]))


def test_few_rows_of_very_many_columns(built) -> None:
    """More than are turned at a time."""
    rows, weight = drawn(12, 13000), drawn(21, 13000)
    product = RowProduct(built).of(weight, None)
    together = product(rows)
    torch.testing.assert_close(together.double(), rows.double() @ weight.double().T, atol=1e-3, rtol=0)
    for some in (1, 5, 10):
        assert torch.equal(together[:some], product(rows[:some]))


def test_a_gate_that_is_far_open_or_shut(built) -> None:
    """exp of what silu takes must neither overflow nor become a number that it is not."""
    one = torch.eye(1)
    product = GatedProduct(built).of(one, torch.ones(1, 1), one)
    values = torch.tensor([-1e30, -200.0, -88.5, -1.0, 0.0, 1.0, 88.5, 200.0, 1e4])[:, None]
    # silu(x) * x
    torch.testing.assert_close(product(values), functional.silu(values) * values, atol=1e-6, rtol=1e-5)
    assert product(torch.tensor([[torch.nan]])).isnan().all()
