"""p-values against every arrangement written out, and Holm by hand."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.evaluation import significance
from branchwise.evaluation.significance import holm, sign_flip_test
from branchwise.evaluation.statistics import paired_difference


def enumerated(totals: list[int]) -> Fraction:
    """The share of all arrangements of signs whose sum is as far from zero."""
    arrangements = list(itertools.product((1, -1), repeat=len(totals)))
    far = [abs(sum(s * t for s, t in zip(signs, totals, strict=True))) for signs in arrangements]
    return Fraction(sum(distance >= abs(sum(totals)) for distance in far), len(arrangements))


def test_by_hand_with_groups_of_unequal_sizes() -> None:
    """Groups of 1, 2 and 3 questions, all better: of 8 arrangements, 2 are as far from zero."""
    groups = ["a", "b", "b", "c", "c", "c"]
    assert paired_difference([1.0] * 6, [0.0] * 6, groups, bounds=(0, 1)).p == 0.25
    # +1, +2, -3: all arrangements are as far from zero as 0.
    assert paired_difference([1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], groups, bounds=(0, 1)).p == 1
    # +3, -1, +2 (one of three, two of two, ...): 4 of 8 are as far as 4.
    assert sign_flip_test([3, -1, 2]) == (0.5, 0.25)


@settings(max_examples=60)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_every_arrangement_counts(totals: list[int]) -> None:
    p, floor = sign_flip_test(totals)
    assert p == pytest.approx(float(enumerated(totals)))
    assert floor == 2.0 ** (1 - sum(t != 0 for t in totals)) if any(totals) else floor == 1
    assert p >= floor


@settings(max_examples=30)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=12))
def test_counting_is_enumeration(totals: list[int]) -> None:
    """More than twenty groups are counted by convolution: of whole numbers it is the same."""
    signed = np.array([t for t in totals if t] or [1], dtype=float)
    assert significance._counted(signed) == pytest.approx(significance._enumerated(signed))


def test_many_groups_with_times_are_as_enumerated_ones() -> None:
    differences = np.random.default_rng(1).normal(0.35, 1, 18)
    exact, counted = significance._enumerated(differences), significance._counted(differences)
    assert 0.001 < exact < 0.5
    assert counted == pytest.approx(exact, rel=0.1)


def test_a_clear_difference_survives_two_hundred_comparisons() -> None:
    """2,000 draws times Holm over 101 comparisons made .05 of everything."""
    p, floor = sign_flip_test(np.random.default_rng(2).normal(1, 0.5, 40))
    assert p < 1e-9 and floor == 2.0**-39
    assert max(holm([p] * 200)) < 0.001
    large, _ = sign_flip_test(np.random.default_rng(3).normal(0.1, 1, 3000))
    assert 1e-12 < large < 0.001


def test_p_values_are_uniform_when_nothing_differs() -> None:
    """Two-sided: a one-sided test would find half as many or twice."""
    for num_groups in (12, 40):
        rng = np.random.default_rng(num_groups)
        found = np.array([sign_flip_test(rng.normal(size=num_groups))[0] for _ in range(400)])
        assert 0.025 <= np.mean(found < 0.05) <= 0.08
        assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_no_difference_has_p_one() -> None:
    assert sign_flip_test([0.0, 0.0]) == (1, 1)
    assert sign_flip_test([]) == (1, 1)
    # What adds up to nothing is not told apart by rounding.
    assert sign_flip_test([0.1 + 0.2, -0.3, 1e-17])[0] == 1


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_and_keeps_their_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= v for a, v in zip(adjusted, values, strict=True))
    assert all(0 <= a <= 1 for a in adjusted)
    order = np.argsort(values, kind="stable")
    assert all(np.diff(np.array(adjusted)[order]) >= -1e-12)
