"""The study of coverage for readers: its averages, its exceptions, and a figure."""

from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from branchwise.evaluation.coverage import BOOTSTRAP, METHODS
from branchwise.reporting.look import panels
from branchwise.reporting.style import MARKERS, save, styled

HELD = (0.93, 0.98)
"""Coverage that is near enough to a nominal 95 %."""

FEWEST = 10
"""Groups from which on it is expected to be."""


def _printed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of the intervals that tables print."""
    return frame[frame.method.isin(METHODS)]


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Coverage of what tables print, in per cent, by measure and truth (rows) and groups (columns):
    averages over correlations, spreads and sizes of groups.
    """
    means = _printed(frame).groupby(["measure", "truth", "groups"], sort=False)["coverage"].mean()
    return (100 * means).round(1).unstack("groups")


def outside(frame: pd.DataFrame) -> list[str]:
    """A line for each cell of ten groups or more that is not within 93 to 98 %."""
    cells = _printed(frame)
    cells = cells[(cells.groups >= FEWEST) & ~cells.coverage.between(*HELD)]
    return [
        f"{cell.measure}: {cell.groups} groups of {cell.sizes}, truth {cell.truth:g}, "
        f"spread {cell.spread:g}: {100 * cell.coverage:.1f} %"
        for cell in cells.itertuples()
    ]


def draw_coverage(frame: pd.DataFrame) -> Figure:
    """Coverage against groups for shares and amounts, a panel for each truth or spread, averaged over
    the rest; the band is 93 to 98 %.
    """
    shares = frame[frame.measure == "share"].assign(panel=lambda f: "share " + f.truth.astype(str))
    amounts = frame[frame.measure == "amount"].assign(
        panel=lambda f: "amount, log sd " + f.spread.astype(str)
    )
    both = pd.concat([shares, amounts])
    both["coverage"] *= 100
    names = list(both.panel.unique())
    figure, axes = panels(len(names), 2, 1.25)
    methods = list(both.method.unique())
    colours = dict(zip(methods, sns.color_palette("colorblind", len(methods)), strict=True))
    for axis, name in zip(axes, names, strict=True):
        axis.axhspan(100 * HELD[0], 100 * HELD[1], color="0.9", lw=0)
        panel = both[both.panel == name]
        for method in panel.method.unique():
            part = panel[panel.method == method]
            means = part.groupby("groups")["coverage"].mean()
            axis.plot(
                means.index,
                means,
                color=colours[method],
                marker=MARKERS[methods.index(method)],
                linestyle="--" if method == BOOTSTRAP else "-",
                label=method,
            )
        axis.set(xscale="log", ylim=(0, 102), title=name)
        axis.set_xticks(sorted(both.groups.unique()), sorted(both.groups.unique()))
        axis.minorticks_off()
        axis.grid(lw=0.3)
    figure.supxlabel("groups (log)")
    figure.supylabel("coverage of nominal 95 %, %")
    found: dict[str, Artist] = {}
    for axis in axes:
        lines, labels = axis.get_legend_handles_labels()
        found |= dict(zip(labels, lines, strict=True))
    figure.legend(list(found.values()), list(found), loc="outside upper center", ncols=1, frameon=False)
    return figure


def write_coverage(frame: pd.DataFrame, stem: Path) -> None:
    """Draw the study to `stem` as PNG."""
    with styled():
        save(draw_coverage(frame), stem, formats=("png",))
