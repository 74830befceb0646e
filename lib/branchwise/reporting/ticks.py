"""Labels of logarithmic axes: as many round numbers as fit, and two at the least."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, floor, log10
from typing import Literal

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from branchwise.reporting.fitting import width_in

_STEPS = (tuple(range(1, 10)), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
"""Which numbers of a decade have labels, the most first."""
_GAP_IN = 0.04


def label_log(axis: Axes, along: Literal["x", "y"], room_in: float) -> None:
    """Make an axis logarithmic and label it; `room_in` is about how long it will be drawn."""
    (axis.set_xscale if along == "x" else axis.set_yscale)("log")
    low, high = axis.get_xlim() if along == "x" else axis.get_ylim()
    labelled = log_ticks(low, high, room_in, along)
    ticker = axis.xaxis if along == "x" else axis.yaxis
    ticker.set_major_locator(FixedLocator(labelled))
    ticker.set_major_formatter(FuncFormatter(lambda value, _: _written(value)))
    ticker.set_minor_locator(LogLocator(subs="auto"))
    ticker.set_minor_formatter(NullFormatter())


def log_ticks(low: float, high: float, room_in: float, along: Literal["x", "y"] = "x") -> list[float]:
    """Round numbers from `low` to `high` whose labels do not touch: of each decade as many as fit."""
    decades = [10.0**power for power in range(floor(log10(low)), ceil(log10(high)) + 1)]
    for steps in _STEPS:
        ticks = [decade * step for decade in decades for step in steps if low <= decade * step <= high]
        if len(ticks) < 2:
            # A short stretch within a decade: round numbers as on any other axis.
            return _few(low, high, room_in, along)
        if _fit(ticks, low, high, room_in, along):
            return ticks
    while not _fit(ticks, low, high, room_in, along):
        ticks = ticks[::2]
    return ticks


def _few(low: float, high: float, room_in: float, along: Literal["x", "y"]) -> list[float]:
    for count in (4, 3, 2, 1):
        ticks = [t for t in MaxNLocator(count).tick_values(low, high) if low <= t <= high]
        if _fit(ticks, low, high, room_in, along):
            break
    return ticks


def _fit(
    ticks: Sequence[float], low: float, high: float, room_in: float, along: Literal["x", "y"]
) -> bool:
    given = rcParams["xtick.labelsize" if along == "x" else "ytick.labelsize"]
    size = FontProperties(size=given).get_size_in_points()
    if along == "y":
        sizes = [size / 72] * len(ticks)
    else:
        sizes = [width_in(_written(tick), size) for tick in ticks]
    places = [room_in * log10(tick / low) / log10(high / low) for tick in ticks]
    return all(
        b - a >= (one + other) / 2 + _GAP_IN
        for (a, one), (b, other) in pairwise(zip(places, sizes, strict=True))
    )


def _written(value: float) -> str:
    return f"{value:.6g}"
