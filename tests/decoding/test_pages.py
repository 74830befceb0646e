"""Large arrays have pages of their own: none is another's, and what is free serves the next."""

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from branchwise.decoding import pages
from branchwise.decoding.pages import Scratch, sums_in_pages, zeros
from branchwise.memory import resident_mib

LARGE = pages.LEAST_BYTES // 4
"""Values of the smallest array that is large."""


@given(
    st.lists(
        st.tuples(st.integers(1, 3 * LARGE), st.integers(0, 5), st.booleans()), min_size=1, max_size=12
    )
)
def test_no_two_arrays_share_memory(steps: list[tuple[int, int, bool]]) -> None:
    """Arrays that are taken and dropped in any order keep what was written to them."""
    scratch = Scratch()
    held: list[tuple[int, torch.Tensor]] = []
    for number, (size, dropped, tidies) in enumerate(steps):
        held.append((number, scratch.empty(size).fill_(number)))
        if dropped < len(held):
            del held[dropped]
        if tidies:
            scratch.tidy()
    for number, array in held:
        assert torch.equal(array, torch.full_like(array, number))


def test_what_is_free_serves_the_next_and_the_largest_is_given_back() -> None:
    scratch = Scratch()
    first = scratch.empty(3, LARGE)
    view, at = first[1:], first.data_ptr()
    del first
    assert scratch.num_free_bytes == 0, "a view is of it still"
    del view
    assert scratch.num_free_bytes == 12 * LARGE
    again = scratch.empty(2, LARGE)
    assert (again.data_ptr(), scratch.num_free_bytes) == (at, 0)
    small = scratch.empty(LARGE)
    del again, small
    assert scratch.num_free_bytes == 16 * LARGE
    # Nothing that is there holds this: it takes the place of the largest.
    larger = scratch.empty(4, LARGE)
    assert scratch.num_free_bytes == 4 * LARGE
    del larger
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "KEPT_BYTES", 19 * LARGE)
        scratch.tidy()
        assert scratch.num_free_bytes == 4 * LARGE
        scratch.tidy()
        assert scratch.num_free_bytes == 4 * LARGE


def test_threads_may_share_it() -> None:
    scratch = Scratch()

    def work(number: int) -> bool:
        for _ in range(10_000):
            mine = scratch.empty(LARGE)[:8]
            if not bool((mine.fill_(number) == number).all()):
                return False
            del mine
            scratch.tidy()
        return True

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(work, range(8)))
    finally:
        sys.setswitchinterval(before)


def test_small_arrays_are_the_heaps() -> None:
    scratch = Scratch()
    small = scratch.empty(LARGE - 1)
    del small
    assert scratch.num_free_bytes == 0


@pytest.mark.parametrize("size", [3, LARGE])
def test_whatever_torch_makes_by_default_they_are_fp32_on_the_cpu(size: int) -> None:
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            made = Scratch().empty(size, 2)
    finally:
        torch.set_default_dtype(torch.float32)
    assert (made.dtype, made.device.type, made.shape) == (torch.float32, "cpu", (size, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [3, 4 * LARGE])
def test_zeros_are_zeros(dtype: torch.dtype, size: int) -> None:
    made = zeros((2, size), torch.empty(0, dtype=dtype))
    assert made.shape == (2, size)
    assert made.dtype == dtype
    assert not made.any()


@pytest.mark.skipif(resident_mib() is None, reason="this system does not say what a process has")
def test_zeros_take_memory_as_they_are_written_to() -> None:
    before = resident_mib() or 0
    made = zeros((2**28,), torch.empty(0))
    assert (resident_mib() or 0) < before + 100
    made[: 2**26] = 1
    assert (resident_mib() or 0) > before + 200
    del made
    assert (resident_mib() or 0) < before + 100


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_what_a_fork_writes_is_its_own() -> None:
    made = zeros((LARGE,), torch.empty(0))
    child = os.fork()
    if not child:
        status = 1
        try:
            made[0] = 1  # one: several threads of a forked process would wait for ever
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert not made.any()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_waits_for_nobody_who_stayed_behind() -> None:
    """Another thread may hold the lock when a process forks."""
    with pages.SCRATCH._lock:
        child = os.fork()
        if not child:
            status = 1
            signal.alarm(20)
            try:
                pages.SCRATCH.empty(LARGE)
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0


@torch.inference_mode()
def test_large_sums_are_in_pages_and_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "SCRATCH", Scratch())
    one, other = torch.randn(2, 3, LARGE)
    with sums_in_pages(one.numel()):
        made = [one + other, torch.add(one, other)]
        others = [one + 1, one + other[:1], one.double() + other, torch.add(one, other, alpha=2)]
    assert all(torch.equal(total, torch.add(one, other)) for total in made)
    wanted = [one.add(1), one.add(other[:1]), one.double().add(other), one.add(other, alpha=2)]
    assert all(torch.equal(*pair) for pair in zip(others, wanted, strict=True))
    del made
    assert pages.SCRATCH.num_free_bytes == 24 * LARGE


def test_sums_with_gradients_keep_them() -> None:
    one = torch.ones(LARGE, requires_grad=True)
    with sums_in_pages(LARGE):
        (one + one).sum().backward()
    assert one.grad is not None and bool((one.grad == 2).all())
