"""The ideal latency is a critical path: it takes the maximum where asks ran side by side."""

import pytest

from branchwise.cells.desk import Ask, ideal_latency_s
from branchwise.decoding.requests import Completion, TokenCount


def ask(duration: float, *after: int) -> Ask:
    tokens = TokenCount(1, 1, 0, 1, 0)
    return Ask(Completion([1], "stop", tokens, 10.0, 10.0 + duration, 1), (), after, "")


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ([], 0),
        ([ask(1), ask(3), ask(2)], 3),  # side by side: the longest, not the sum
        ([ask(1), ask(3, 0), ask(2, 1)], 6),  # one after the other: the sum
        ([ask(1), ask(5), ask(2, 0), ask(1, 2, 1)], 6),  # the longer of two ways
    ],
)
def test_ideal_latency(asks: list[Ask], expected: float) -> None:
    """Error 21 of the published systems: an ideal latency that sums instead of taking the maximum."""
    assert ideal_latency_s(asks) == pytest.approx(expected)
