"""Intervals of means and of paired differences, in closed form. The unit is the group: answers to one
context are not independent.

A value of a bounded scale (right or wrong, F1, a judge's grade) has Wilson's interval, for as many
independent answers as the groups' answers are worth: their number over the design effect, and a t
quantile in place of the normal one. It holds near both ends of the scale and is never of zero width.
An amount (seconds, tokens) has a t interval on the logarithmic scale. `coverage.py` measures both.
"""

import math
from collections.abc import Hashable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from branchwise.evaluation.significance import sign_flip_test

CONFIDENCE = 0.95
POWER = 0.8
Bounds = tuple[float, float]

PRIOR_CORRELATION = 0.2
"""Intraclass correlation that is assumed, with the weight of one group, where groups show little of it:
all answers right say nothing of how wrong ones would cluster."""

PRIOR_CORRELATION_OF_PAIRS = 0.1
"""The same of paired differences: what makes a whole group hard is in both and falls out."""

LEAST_DESIGN_EFFECT = 0.8
"""What looks like less, a group's answers that differ more than by chance, is mostly noise."""

MOST_TAIL = 2.0
"""A standard error of an amount is at most this much longer than the one that was seen."""


class Interval(NamedTuple):
    """A value with the bounds of its interval; both nan where nothing can be said of its spread."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """A paired difference of means, its interval, its two-sided p-value, and the least p-value that as
    many groups can give.
    """

    value: float
    low: float
    high: float
    p: float
    p_floor: float


class _Groups(NamedTuple):
    """Values by group: their sum and number a group, and all of them."""

    totals_G: np.ndarray
    counts_G: np.ndarray
    values_N: np.ndarray

    @property
    def mean(self) -> float:
        return float(self.totals_G.sum() / self.counts_G.sum())

    @property
    def residuals_G(self) -> np.ndarray:  # noqa: N802 (a shape)
        """Per group: its total less what the mean expects, larger by what the group itself takes off
        it (CR2: else few groups, or one large one, look too steady).
        """
        residuals = self.totals_G - self.mean * self.counts_G
        return residuals / np.sqrt(1 - self.counts_G / self.counts_G.sum())

    @property
    def standard_error(self) -> float:
        """Of the mean, robust to any correlation in groups."""
        return float(np.sqrt((self.residuals_G**2).sum()) / self.counts_G.sum())


def _grouped(values: Sequence[float], groups: Sequence[Hashable]) -> _Groups:
    if not len(values) or len(values) != len(groups):
        raise ValueError(f"{len(values)} values of {len(groups)} groups have no mean")
    numbers = np.asarray(values, dtype=float)
    places: dict[Hashable, int] = {}
    index = np.fromiter((places.setdefault(group, len(places)) for group in groups), dtype=np.intp)
    return _Groups(np.bincount(index, weights=numbers), np.bincount(index).astype(float), numbers)


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """Student's quantile for `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # scipy.stats takes half a second to load

    return float(stdtrit(freedom, probability))


def _t(num_groups: int) -> float:
    return t_quantile((1 + CONFIDENCE) / 2, num_groups - 1)


def mean_interval(
    values: Sequence[float], groups: Sequence[Hashable], *, bounds: Bounds | None = None
) -> Interval:
    """Mean of `values` with its 95 % interval; `groups` names the group of each value.

    With `bounds`, the ends of the values' scale, an interval inside them. Without, one of an amount,
    which is on the logarithmic scale where all groups are above zero; it has zero width where all values
    are the same. One group alone says nothing of how groups differ: the interval is then the whole scale,
    or none (nan). Raises ValueError for no values, and for values beyond the bounds.
    """
    data = _grouped(values, groups)
    return _of_amounts(data) if bounds is None else _on_scale(data, bounds)


def _on_scale(data: _Groups, bounds: Bounds) -> Interval:
    least, most = bounds
    if data.values_N.min() < least or data.values_N.max() > most:
        raise ValueError(f"values of {data.values_N.min()} to {data.values_N.max()} are beyond {bounds}")
    value, num_groups = data.mean, len(data.counts_G)
    if num_groups == 1:
        return Interval(value, least, most)
    share = min(max((value - least) / (most - least), 0.0), 1.0)
    num_worth = _num_worth(data, share, most - least)
    t = _t(num_groups)
    middle = (share + t * t / (2 * num_worth)) / (1 + t * t / num_worth)
    half = t / (1 + t * t / num_worth)
    half *= math.sqrt(share * (1 - share) / num_worth + (t / (2 * num_worth)) ** 2)
    low, high = (least + (most - least) * end for end in (middle - half, middle + half))
    # What is one number may differ in its last bit.
    return Interval(value, min(max(low, least), value), max(min(high, most), value))


def _num_worth(data: _Groups, share: float, span: float) -> float:
    """How many independent right-or-wrong answers the values are worth."""
    num_values, num_groups = len(data.values_N), len(data.counts_G)
    variance = float(data.values_N.var()) / span**2
    # Both estimates rest on the answers away from the scale's ends; where these are few, on what is
    # assumed: answers as far apart as right and wrong, correlated in groups.
    informed = 4 * share * (1 - share)
    graded = variance / (share * (1 - share)) if informed > 0 else 1.0
    graded = (num_values * informed * graded + 1) / (num_values * informed + 1)
    effect = _design_effect(data, variance * span**2, num_groups * informed, PRIOR_CORRELATION)
    return num_values / (effect * graded)


def _design_effect(data: _Groups, variance: float, weight: float, prior: float) -> float:
    """Variance of the mean over that of as many independent values of this variance: as it is seen, with
    `weight` against one of what a `prior` correlation would make it.
    """
    num_values = len(data.values_N)
    assumed = 1 + prior * (float((data.counts_G**2).sum()) / num_values - 1)
    # Of values that hardly differ it would be a ratio of rounding errors.
    if variance <= 1e-18:
        return assumed
    seen = data.standard_error**2 / (variance / num_values)
    return max((weight * seen + assumed) / (weight + 1), LEAST_DESIGN_EFFECT)


def _of_amounts(data: _Groups) -> Interval:
    value, num_groups = data.mean, len(data.counts_G)
    if num_groups == 1:
        return Interval(value, math.nan, math.nan)
    if (data.totals_G <= 0).any():
        half = _t(num_groups) * data.standard_error
        return Interval(value, value - half, value + half)
    factor = math.exp(_t(num_groups) * data.standard_error / value * _unseen(data))
    return Interval(value, value / factor, value * factor)


def _unseen(data: _Groups) -> float:
    """How much longer the standard error of amounts is than the one that was seen, at least 1.

    Few groups seldom hold the rare slow one. The spread of the logarithms (Cox's standard error of a
    lognormal mean) foretells it.
    """
    num_groups, seen = len(data.counts_G), data.standard_error / data.mean
    if seen <= 1e-12:
        return 1.0
    variance = float(np.log(data.totals_G / data.counts_G).var(ddof=1))
    foretold = math.sqrt(variance / num_groups + variance**2 / (2 * (num_groups - 1)))
    return min(max(foretold / seen, 1.0), MOST_TAIL)


def paired_difference(
    one: Sequence[float],
    other: Sequence[float],
    groups: Sequence[Hashable],
    *,
    bounds: Bounds | None = None,
) -> Difference:
    """Mean of `one` - `other` over the same questions in the same order, with its 95 % interval (see
    `difference_interval`) and the p-value of a sign-flip test over groups (see `sign_flip_test`).
    """
    interval = difference_interval(one, other, groups, bounds=bounds)
    apart = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    return Difference(*interval, *sign_flip_test(_grouped(apart, groups).totals_G))


def difference_interval(
    one: Sequence[float],
    other: Sequence[float],
    groups: Sequence[Hashable],
    *,
    bounds: Bounds | None = None,
) -> Interval:
    """Mean of `one` - `other`, paired, with its 95 % interval.

    With `bounds` as in `mean_interval`, Agresti and Min's interval for matched pairs, of as many pairs as
    the groups' are worth; it is never of zero width. One group alone: the widest difference there can
    be, or none (nan). Raises ValueError where the two are not of the same questions.
    """
    if not len(one) == len(other) == len(groups):
        raise ValueError("paired values need the same questions in the same order")
    first, second = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    data = _grouped(first - second, groups)
    if bounds is not None:
        return Interval(data.mean, *_matched(data, bounds[1] - bounds[0]))
    level = _grouped((first + second) / 2, groups)
    return Interval(data.mean, *_of_amounts_apart(data, level))


def _matched(data: _Groups, span: float) -> tuple[float, float]:
    """Ends of the interval of a mean difference between values on a scale that is `span` long."""
    num_groups = len(data.counts_G)
    if num_groups == 1:
        return -span, span
    square = float((data.values_N**2).mean())
    # One pair that speaks for either side is added: as far apart as the farthest that was seen.
    greatest = float(np.abs(data.values_N).max()) or span
    differing = square / greatest**2
    effect = _design_effect(
        data, square - data.mean**2, num_groups * differing, PRIOR_CORRELATION_OF_PAIRS
    )
    num_worth = len(data.values_N) / effect
    middle = data.mean * num_worth / (num_worth + 2)
    variance = (num_worth * square + greatest**2) / (num_worth + 2) - middle**2
    half = _t(num_groups) * math.sqrt(variance / (num_worth + 2))
    return max(middle - half, -span), min(middle + half, span)


def _of_amounts_apart(data: _Groups, level: _Groups) -> tuple[float, float]:
    """Ends of the interval of a mean difference between amounts; `level` holds the pairs' means.

    What grows with a group's own amount (twice as slow in long groups as in short ones) is as skewed as
    these are, and takes its part of the interval from theirs; the rest is a t interval.
    """
    num_groups = len(data.counts_G)
    if num_groups == 1:
        return math.nan, math.nan
    t, value = _t(num_groups), data.mean
    apart_G, level_G = data.residuals_G, level.residuals_G
    spread = float((level_G**2).sum())
    slope = float((apart_G * level_G).sum()) / spread if spread > 0 else 0.0
    rest = t * float(np.sqrt(((apart_G - slope * level_G) ** 2).sum())) / len(data.values_N)
    centre, low, high = _of_amounts(level)
    below, above = (centre - low, high - centre) if slope >= 0 else (high - centre, centre - low)
    return value - math.hypot(slope * below, rest), value + math.hypot(slope * above, rest)


def detectable_difference(difference: Difference, num_groups: int, family: int) -> float:
    """The least true difference that would be shown four times in five, two-sided at 5 %, as one of
    `family` comparisons: at Holm's first step, which is Bonferroni's, with t quantiles over groups. nan
    for one group.
    """
    if num_groups < 2:
        return math.nan
    standard_error = (difference.high - difference.low) / (2 * _t(num_groups))
    tail = t_quantile(1 - (1 - CONFIDENCE) / (2 * family), num_groups - 1)
    return (tail + t_quantile(POWER, num_groups - 1)) * standard_error
