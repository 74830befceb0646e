"""The few-row matrix product: right, the same bits for any number of rows, no silent stand-in."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.products.packed import PackedWeights
from branchwise.decoding.products.row_kernel import RowKernel, row_kernel


@pytest.fixture(scope="module")
def kernel() -> RowKernel:
    built = row_kernel()
    if isinstance(built, str):
        pytest.skip(f"this machine cannot build the kernel: {built}")
    return built


@settings(max_examples=60, deadline=None)
@given(
    num_rows=st.integers(1, 40),
    depth=st.sampled_from([1, 7, 48, 511, 512, 513, 1100]),
    num_outputs=st.sampled_from([1, 8, 13, 16, 101, 160]),
    threads=st.sampled_from([1, 2]),
)
def test_it_is_the_product_of_any_shape(kernel, num_rows, depth, num_outputs, threads) -> None:
    generator = torch.Generator().manual_seed(num_rows + depth)
    rows = torch.randn(num_rows, depth, generator=generator)
    weight = torch.randn(num_outputs, depth, generator=generator)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        got = kernel(rows, kernel.pack(weight), num_outputs)
    finally:
        torch.set_num_threads(before)
    exact = rows.double() @ weight.double().T
    # fp32 sums of `depth` products of size one: a few units in the last place of the largest partial sum.
    torch.testing.assert_close(got.double(), exact, atol=4e-6 * max(1.0, depth**0.5), rtol=0)


@settings(max_examples=30, deadline=None)
@given(num_rows=st.integers(2, 40), depth=st.sampled_from([48, 700]))
def test_a_row_does_not_depend_on_the_others(kernel, num_rows: int, depth: int) -> None:
    generator = torch.Generator().manual_seed(num_rows)
    rows, weight = torch.randn(num_rows, depth, generator=generator), torch.randn(24, depth)
    packed = kernel.pack(weight)
    together = kernel(rows, packed, 24)
    alone = torch.cat([kernel(rows[i : i + 1], packed, 24) for i in range(num_rows)])
    assert torch.equal(together, alone)


def test_packed_weights_use_it_and_say_so(kernel) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.Linear(30, 5, bias=False))
    weights = PackedWeights(model)
    assert weights.layout == "compiled"
    rows = torch.randn(2, 3, 20)
    with torch.no_grad():
        plain = model(rows)
        with weights.attached():
            packed = model(rows)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
def test_without_a_compiler_the_layout_is_onednn_and_names_the_reason(monkeypatch, compiler) -> None:
    monkeypatch.setenv("CC", compiler)
    row_kernel.cache_clear()
    try:
        weights = PackedWeights(torch.nn.Linear(20, 30))
    finally:
        row_kernel.cache_clear()
    expected = "onednn" if torch.backends.mkldnn.is_available() else "plain"
    assert weights.layout.startswith(expected)
    assert expected == "plain" or compiler in weights.layout


def test_weights_that_became_another_dtype_are_left_to_torch(kernel) -> None:
    linear = torch.nn.Linear(20, 30)
    weights = PackedWeights(linear)
    linear.to(torch.bfloat16)
    with torch.no_grad(), weights.attached():
        assert linear(torch.randn(2, 20, dtype=torch.bfloat16)).dtype == torch.bfloat16
    linear.float()
    with torch.no_grad(), weights.attached(), pytest.raises(RuntimeError, match="dtype"):
        linear(torch.randn(2, 20, dtype=torch.float64))
