"""Intervals and tests. The unit is the group: answers to one context are not independent.

Everything is seeded, so the same scores give the same numbers.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A value with the bounds of its bootstrap interval."""

    value: float
    low: float
    high: float


def _sums(values: Sequence[float], groups: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Per group: the sum of its values and how many they are."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    weights = np.asarray(values, dtype=float)
    return np.bincount(index, weights=weights), np.bincount(index).astype(float)


def _replicates(totals_G: np.ndarray, counts_G: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Means of `draws` resamples of whole groups, with replacement."""
    rng = np.random.default_rng(seed)
    num_groups = len(totals_G)
    means = np.empty(draws)
    # In blocks, so that memory stays small for large data sets.
    block = max(1, 10_000_000 // num_groups)
    for first in range(0, draws, block):
        size = min(block, draws - first)
        chosen = rng.integers(0, num_groups, size=(size, num_groups))
        means[first : first + size] = totals_G[chosen].sum(1) / counts_G[chosen].sum(1)
    return means


def mean_interval(values: Sequence[float], groups: Sequence[str], draws: int, seed: int) -> Interval:
    """Mean of `values` with its percentile bootstrap interval over groups.

    The spread of the replicates is the standard error itself; it is not divided by anything.
    """
    totals, counts = _sums(values, groups)
    means = _replicates(totals, counts, draws, seed)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(totals.sum() / counts.sum()), float(low), float(high))


class Difference(NamedTuple):
    """A paired difference of means, its interval, and a two-sided permutation p-value."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(
    one: Sequence[float],
    other: Sequence[float],
    groups: Sequence[str],
    draws: int,
    seed: int,
) -> Difference:
    """Mean of `one` - `other` over the same questions in the same order.

    The interval resamples groups; the test flips the sign of whole groups' differences (under the
    null hypothesis the two strategies could change places in any group). p counts the observed
    arrangement among the permutations, so it is never 0.
    """
    if not len(one) == len(other) == len(groups):
        raise ValueError("paired values need the same questions in the same order")
    differences = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    interval = mean_interval(differences.tolist(), groups, draws, seed)
    totals, _ = _sums(differences.tolist(), groups)
    rng = np.random.default_rng(seed + 1)
    signs = rng.choice((-1.0, 1.0), size=(draws, len(totals)))
    # A hair's breadth of slack: sums of the same numbers in another order are not bit-equal.
    observed = abs(totals.sum()) - 1e-9
    extreme = int((np.abs(signs @ totals) >= observed).sum())
    return Difference(*interval, (extreme + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of a family of p-values, in the given order."""
    if not len(p_values):
        return []
    # Loads much of statsmodels, which only tables need.
    from statsmodels.stats.multitest import multipletests

    return multipletests(p_values, method="holm")[1].tolist()
