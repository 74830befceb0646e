"""Intervals: what they hold, what they never say, and what they are by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.evaluation.statistics import (
    detectable_difference,
    difference_interval,
    mean_interval,
    paired_difference,
    t_quantile,
)

SHARE = (0.0, 1.0)


RIGHT_OR_WRONG = st.sampled_from([0.0, 1.0])


@st.composite
def grouped(draw, values=RIGHT_OR_WRONG):
    """Values and their groups, two or more of any sizes."""
    sizes = draw(st.lists(st.integers(1, 7), min_size=2, max_size=15))
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return draw(st.lists(values, min_size=len(groups), max_size=len(groups))), groups


def test_wilson_by_hand() -> None:
    """One question a group: Wilson's interval with a t quantile, but for what is assumed of groups."""
    values = [1.0] * 15 + [0.0] * 5
    found = mean_interval(values, range(20), bounds=SHARE)
    # A design effect of 20 / 19 (CR2) with weight 15 against 1 of none.
    worth = 20 / ((15 * 20 / 19 + 1) / 16)
    t = 2.093024
    middle, half = 0.75 + t * t / (2 * worth), t * math.sqrt(0.1875 / worth + (t / (2 * worth)) ** 2)
    assert found.value == 0.75
    assert found.low == pytest.approx((middle - half) / (1 + t * t / worth), abs=1e-6)
    assert found.high == pytest.approx((middle + half) / (1 + t * t / worth), abs=1e-6)


def test_the_unit_is_the_group() -> None:
    """Five copies of one answer per group are hardly more evidence than one."""
    values = np.random.default_rng(1).integers(0, 2, 100).astype(float)
    groups = np.arange(100)
    single = mean_interval(values.tolist(), groups.tolist(), bounds=SHARE)
    copied = mean_interval(np.repeat(values, 5).tolist(), np.repeat(groups, 5).tolist(), bounds=SHARE)
    assert copied.high - copied.low == pytest.approx(single.high - single.low, rel=0.05)
    alone = mean_interval(np.repeat(values, 5).tolist(), range(500), bounds=SHARE)
    assert copied.high - copied.low > 2 * (alone.high - alone.low)


def test_the_standard_error_is_s_over_root_n() -> None:
    """Not divided by the number of draws again, the error that made published ones 31x too small."""
    values = np.random.default_rng(2).normal(size=400)
    found = mean_interval(values.tolist(), range(400))
    expected = 2 * 1.965927 * values.std(ddof=1) / 20
    assert found.high - found.low == pytest.approx(expected, rel=1e-5)


@settings(max_examples=150)
@given(grouped())
def test_an_interval_of_a_share_is_never_a_point_and_never_leaves_its_scale(sample) -> None:
    found = mean_interval(*sample, bounds=SHARE)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.005


@settings(max_examples=100)
@given(grouped(st.floats(0, 1)))
def test_graded_answers_too(sample) -> None:
    found = mean_interval(*sample, bounds=SHARE)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high > found.low
    values, groups = sample
    wide = mean_interval([1 + 4 * value for value in values], groups, bounds=(1, 5))
    assert wide == pytest.approx([1 + 4 * end for end in found])


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_all_answers_the_same_are_no_proof(value: float) -> None:
    """It was 100.0 [100.0, 100.0]."""
    few = mean_interval([value] * 50, [i // 5 for i in range(50)], bounds=SHARE)
    many = mean_interval([value] * 500, [i // 5 for i in range(500)], bounds=SHARE)
    assert few.high - few.low > many.high - many.low > 0.001
    if value in SHARE:
        # The rule of three: none of 50 leaves 3 / 50, of fewer independent ones more.
        assert few.high - few.low > 3 / 50


def test_one_group_says_nothing_of_groups() -> None:
    assert mean_interval([1, 0, 1], ["a"] * 3, bounds=SHARE)[1:] == SHARE
    assert math.isnan(mean_interval([1, 2, 3], ["a"] * 3).low)
    apart = paired_difference([1, 0], [0, 0], ["a", "a"], bounds=SHARE)
    assert (apart.low, apart.high, apart.p) == (-1, 1, 1)
    assert math.isnan(difference_interval([1.0], [2.0], ["a"]).high)
    assert math.isnan(detectable_difference(apart, 1, 3))


def test_amounts_that_are_all_the_same_are_known() -> None:
    assert mean_interval([12.0] * 8, range(8)) == (12, 12, 12)
    assert mean_interval([0.0] * 8, range(8)) == (0, 0, 0)


@settings(max_examples=100)
@given(grouped(st.floats(1e-4, 1e4)))
def test_an_amount_is_above_zero_and_scales_with_its_unit(sample) -> None:
    values, groups = sample
    seconds = mean_interval(values, groups)
    assert 0 < seconds.low <= seconds.value <= seconds.high < math.inf
    assert mean_interval([1000 * v for v in values], groups) == pytest.approx([1000 * x for x in seconds])


def test_values_beyond_the_scale_and_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        mean_interval([0.5, 1.5], ["a", "b"], bounds=SHARE)
    with pytest.raises(ValueError, match="no mean"):
        mean_interval([], [])
    with pytest.raises(ValueError, match="same questions"):
        paired_difference([1.0], [1.0, 0.0], ["a"])


@settings(max_examples=100)
@given(grouped(), st.randoms(use_true_random=False))
def test_a_paired_share_has_an_interval_around_it_that_mirrors(sample, random) -> None:
    one, groups = sample
    other = [random.choice((0.0, value)) for value in one]
    found = paired_difference(one, other, groups, bounds=SHARE)
    assert -1 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0.005
    turned = paired_difference(other, one, groups, bounds=SHARE)
    assert turned[:3] == pytest.approx((-found.value, -found.high, -found.low))
    assert turned.p == pytest.approx(found.p)
    assert detectable_difference(found, len(set(groups)), 5) > 0


def test_no_difference_in_50_pairs_still_has_an_interval() -> None:
    """Its width was 0, and the detectable difference 0.0 points."""
    same = [1.0] * 50
    found = paired_difference(same, same, [i // 5 for i in range(50)], bounds=SHARE)
    assert (found.value, found.p) == (0, 1)
    assert found.low < -0.03 and found.high > 0.03
    assert detectable_difference(found, 10, 1) > 0.03


def test_an_interval_of_pairs_by_hand() -> None:
    """Agresti and Min's, one question a group: one pair is added to either side."""
    one, other = [1.0] * 6 + [0.0] * 14, [0.0] * 5 + [1.0] + [0.0] * 12 + [1.0] * 2
    found = difference_interval(one, other, range(20), bounds=SHARE)
    differing, weight = 7 / 20, 20 * 7 / 20
    # Differences: five of +1, two of -1.
    effect = (weight * 20 / 19 + 1) / (weight + 1)
    worth = 20 / effect
    middle = 0.15 * worth / (worth + 2)
    spread = math.sqrt(((worth * differing + 1) / (worth + 2) - middle**2) / (worth + 2))
    assert found == pytest.approx(
        (0.15, middle - 2.093024 * spread, middle + 2.093024 * spread), abs=1e-6
    )


def test_times_that_follow_their_groups_are_as_skewed() -> None:
    """Twice as slow in every group: the difference's interval is the times' own."""
    base = np.random.default_rng(4).lognormal(0, 1, 12)
    found = paired_difference((2 * base).tolist(), base.tolist(), range(12))
    assert tuple(found[:3]) == pytest.approx(mean_interval(base.tolist(), range(12)), rel=1e-6)
    # The same everywhere: a plain t interval, however long the groups are.
    more = np.random.default_rng(5).normal(1, 0.1, 12)
    flat = difference_interval((base + more).tolist(), base.tolist(), range(12))
    half = t_quantile(0.975, 11) * more.std(ddof=1) / math.sqrt(12)
    assert (flat.high - flat.low) / 2 == pytest.approx(half, rel=0.15)


def test_the_detectable_difference_is_corrected_as_the_p_values_are() -> None:
    rng = np.random.default_rng(6)
    found = paired_difference(rng.normal(size=30).tolist(), rng.normal(size=30).tolist(), range(30))
    error = (found.high - found.low) / (2 * 2.045230)
    # t quantiles of 29 degrees of freedom: .975, 1 - .025 / 50, and .8.
    assert detectable_difference(found, 30, 1) == pytest.approx(error * (2.045230 + 0.854188), rel=1e-4)
    assert detectable_difference(found, 30, 50) == pytest.approx(
        error * (t_quantile(1 - 0.025 / 50, 29) + 0.854188), rel=1e-4
    )
    assert detectable_difference(found, 30, 50) > 1.4 * detectable_difference(found, 30, 1)


def test_a_rare_slow_group_is_foretold_up_to_twice_the_standard_error() -> None:
    """One group next to nothing, nine of 1: their logarithms foretell much more than was seen."""
    values = [1e-9, *[1.0] * 9]
    found = mean_interval(values, range(10))
    error = np.std(values, ddof=1) / math.sqrt(10)
    factor = math.exp(2 * 2.262157 * error / 0.9)
    assert (found.low, found.high) == pytest.approx((0.9 / factor, 0.9 * factor), rel=1e-5)
