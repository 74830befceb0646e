"""p-values of paired differences, and their correction for how many there are."""

from collections.abc import Sequence

import numpy as np

MOST_ENUMERATED = 20
"""Groups whose signs are enumerated, 2^20 arrangements; more of them are counted on a grid."""

GRID = 16
"""Steps of that grid in the root mean square of the groups' differences."""


def sign_flip_test(totals: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Two-sided p-value of a sum of groups' differences, and the least that these groups can give.

    Under the null hypothesis the two sides could change places in any group: p is the share of all
    arrangements of signs whose sum is as far from zero as the observed one. It is exact: arrangements are
    enumerated; those of more than 20 groups are counted by convolution, of differences that are no whole
    numbers after rounding to a sixteenth of their root mean square. Groups that do not differ have no
    say; where none does, p is 1.
    """
    sizes = np.abs(np.asarray(totals, dtype=float))
    # Sums of the same numbers in another order are not bit-equal.
    kept = sizes > 1e-9 * sizes.max(initial=0)
    signed = np.asarray(totals, dtype=float)[kept]
    if not len(signed):
        return 1.0, 1.0
    floor = 2.0 ** (1 - len(signed))
    if len(signed) <= MOST_ENUMERATED:
        return _enumerated(signed), floor
    # Beyond a thousand groups the least p-value is no number of this machine any more.
    return max(_counted(signed), floor, 1e-300), floor


def _enumerated(signed: np.ndarray) -> float:
    sizes = np.abs(signed)
    sums = sizes[:1]  # the first sign is fixed: turning all signs changes no distance from zero
    for size in sizes[1:]:
        sums = np.concatenate((sums + size, sums - size))
    observed = abs(signed.sum()) - 1e-9 * sizes.sum()
    return float((np.abs(sums) >= observed).mean())


def _counted(signed: np.ndarray) -> float:
    whole = np.rint(signed)
    if np.abs(signed - whole).max() > 1e-9:
        whole = np.rint(signed / np.sqrt((signed**2).mean()) * GRID)
    steps = np.abs(whole).astype(int)
    # Distribution of the sum of those that keep a plus; the whole sum is twice that less all.
    chances = np.zeros(steps.sum() + 1)
    chances[0] = 1.0
    for number, step in enumerate(steps):
        if step:
            chances[step:] += chances[:-step].copy()
            chances /= 2
        if number % 64 == 0:
            chances[chances < 1e-250] = 0  # arithmetic on what is nearly no number is slow
    sums = np.abs(2 * np.arange(len(chances)) - steps.sum())
    return min(1.0, float(chances[sums >= abs(whole.sum())].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction of a family of p-values, in the given order."""
    if not len(p_values):
        return []
    # Loads much of statsmodels, which only tables need.
    from statsmodels.stats.multitest import multipletests

    return multipletests(p_values, method="holm")[1].tolist()
