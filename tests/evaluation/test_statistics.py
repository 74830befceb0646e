"""Intervals and tests against what is known in closed form."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.evaluation.statistics import (
    _replicates,
    _sums,
    holm,
    mean_interval,
    paired_difference,
)

RNG = np.random.default_rng(1)


def test_the_bootstrap_standard_error_is_s_over_root_n() -> None:
    """Not divided by the number of draws again, the error that made published ones 31x too small."""
    values = RNG.normal(size=400)
    totals, counts = _sums(values.tolist(), [str(i) for i in range(400)])
    spread = _replicates(totals, counts, 20_000, seed=0).std()
    assert spread == pytest.approx(values.std() / np.sqrt(400), rel=0.03)


def test_the_unit_is_the_group() -> None:
    """Five copies of one answer per group are one piece of evidence, not five."""
    values = RNG.normal(size=100)
    groups = [str(i) for i in range(100)]
    single = mean_interval(values.tolist(), groups, 4000, 0)
    copied = mean_interval(np.repeat(values, 5).tolist(), np.repeat(groups, 5).tolist(), 4000, 0)
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.05)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(loc=3, size=60)
        interval = mean_interval(values.tolist(), [str(i) for i in range(60)], 400, seed)
        covered += interval.low <= 3 <= interval.high
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval() -> None:
    values, groups = RNG.normal(size=50).tolist(), [str(i % 10) for i in range(50)]
    assert mean_interval(values, groups, 500, 3) == mean_interval(values, groups, 500, 3)


def test_a_clear_difference_is_found_and_none_is_not() -> None:
    groups = [str(i // 4) for i in range(400)]
    base = RNG.integers(0, 2, 400).astype(float)
    clear = paired_difference((base + 0.5).tolist(), base.tolist(), groups, 2000, 0)
    assert clear.value == pytest.approx(0.5)
    assert clear.low > 0
    assert clear.p < 0.001
    same = paired_difference(base.tolist(), base.tolist(), groups, 2000, 0)
    assert same == (0, 0, 0, 1)


def test_p_values_are_uniform_when_nothing_differs() -> None:
    groups = [str(i) for i in range(40)]
    found = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        one, other = rng.normal(size=40).tolist(), rng.normal(size=40).tolist()
        found.append(paired_difference(one, other, groups, 200, seed).p)
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.10


def test_pairs_need_the_same_questions() -> None:
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([1.0], [1.0, 0.0], ["a"], 100, 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= v for a, v in zip(adjusted, values, strict=True))
    assert all(0 <= a <= 1 for a in adjusted)
    order = np.argsort(values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= -1e-12)
