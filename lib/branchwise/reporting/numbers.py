"""How numbers are written: no interval looks narrower, and no p-value smaller, than it is."""

import math

from branchwise.evaluation.statistics import Difference, Interval
from branchwise.results import Metric

SMALLEST_P = 1e-4
"""p-values are written to four places; what is smaller is said to be."""

MOST_DIGITS = 12


def with_interval(found: Metric | Interval | Difference, scale: float, digits: int) -> str:
    """`value [low, high]`, the value alone where there is no interval.

    Ends that are not the same are written with as many more digits as it takes to see it.
    """
    value = f"{scale * found.value:z.{digits}f}"
    if found.low is None or found.high is None or math.isnan(found.low) or math.isnan(found.high):
        return value
    low, high = scale * found.low, scale * found.high
    places = digits
    if not math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-15):
        while f"{low:z.{places}f}" == f"{high:z.{places}f}" and places < MOST_DIGITS:
            places += 1
    return f"{value} [{low:z.{places}f}, {high:z.{places}f}]"


def p_value(p: float, at_floor: bool = False) -> str:
    """A p-value to four places; as `< ...` where it is smaller than can be written, or than can be found
    (`at_floor`: as many groups give no smaller one).
    """
    if p < SMALLEST_P:
        return f"< {SMALLEST_P:.4f}"
    above = math.floor(p / SMALLEST_P + 1e-9) * SMALLEST_P + SMALLEST_P
    return f"< {above:.4f}" if at_floor and above < 1 else f"{p:.4f}"


def above_zero(number: float, digits: int = 1) -> str:
    """A number greater than zero with so many decimals, or more where it would look like zero."""
    while digits < MOST_DIGITS and float(f"{number:.{digits}f}") == 0:
        digits += 1
    return f"{number:.{digits}f}"
