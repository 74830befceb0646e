"""What all figures share: colours, markers, legends, panels, axes."""

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from branchwise.reporting.fitting import legend_above, wrapped
from branchwise.reporting.frames import Results, ordered, title
from branchwise.reporting.names import metric_name
from branchwise.reporting.style import COLUMN_IN, DASHES, HATCHES, MARKERS

NUM_COLOURS = 10
"""Of the colour-blind palette; beyond them it begins again."""
LABEL_IN = 1.25
"""Room for the labels of rows, of the one column that a figure is wide."""


class Look:
    """One colour and marker a strategy, one line style a decoder, the same in every figure.

    Strategies beyond the tenth share a colour with an earlier one, and with none of them marker or hatch.
    """

    def __init__(self, results: Results) -> None:
        experiment = results.experiment
        palette = sns.color_palette("colorblind", NUM_COLOURS)
        self.results = results
        self.colour, self.marker, self.hatch = {}, {}, {}
        for number, name in enumerate(experiment.strategies):
            # 10 colours and 8 markers come round together after 40.
            place = number + number // 40
            self.colour[name] = palette[number % NUM_COLOURS]
            self.marker[name] = MARKERS[place % len(MARKERS)]
            self.hatch[name] = HATCHES[number // NUM_COLOURS % len(HATCHES)]
        self.dash = {d: DASHES[i % len(DASHES)] for i, d in enumerate(experiment.decoders)}

    def face(self, strategy: str, decoder: str) -> Any:
        """Fill of a marker: its colour for the first decoder, white for the others."""
        first = self.results.experiment.decoders[0]
        return self.colour[strategy] if decoder == first else "white"

    def bar(self, strategy: str) -> dict[str, Any]:
        """Filling of a strategy's bars."""
        hatch = self.hatch[strategy]
        return {"facecolor": self.colour[strategy], "hatch": hatch, "edgecolor": "white", "linewidth": 0}

    def legend(
        self,
        figure: Figure,
        decoders: Literal["dash", "fill"] | None = None,
        strategies: Sequence[str] | None = None,
        line: Literal["-", ""] = "-",
    ) -> None:
        """Strategies that there is anything of (or these) and, where there are several, decoders by
        their line or by the filling of their markers.
        """
        label = self.results.label
        there = {cell.strategy for cell in self.results.scores}
        handles = [
            Line2D([], [], color=c, marker=self.marker[s], linestyle=line, label=label("strategy", s))
            for s, c in self.colour.items()
            if s in (there if strategies is None else strategies)
        ]
        if decoders and len(self.dash) > 1:
            handles += [self._decoder(d, decoders) for d in self.dash]
        legend_above(figure, handles)

    def _decoder(self, decoder: str, how: Literal["dash", "fill"]) -> Line2D:
        name = self.results.label("decoder", decoder)
        if how == "dash":
            return Line2D([], [], color="0.3", linestyle=self.dash[decoder], label=name)
        first = next(iter(self.dash))
        face = "0.3" if decoder == first else "white"
        return Line2D([], [], color="0.3", marker="o", markerfacecolor=face, linestyle="", label=name)


def wide(results: Results, metric: str) -> pd.DataFrame:
    """One metric of every cell, in the order of the config; no row of cells that lack it."""
    frame = results.metrics()
    return ordered(frame[frame.metric == metric], results.experiment)


def quality(results: Results) -> pd.DataFrame:
    """The primary metric of every cell's data set, in the order of the config."""
    frame = results.metrics()
    primary = frame.dataset.map(primaries(results))
    return ordered(frame[frame.metric == primary], results.experiment)


def primaries(results: Results) -> dict[str, str]:
    """The metric that strategies are compared by, by data set."""
    return {cell.dataset: scores.primary for cell, scores in results.scores.items()}


def quality_label(results: Results, datasets: Sequence[str] | None = None) -> str:
    """What a quality axis shows: the metric, where the data sets (default: all) share one."""
    found = primaries(results)
    names = {found[name] for name in (found if datasets is None else datasets) if name in found}
    return metric_name(names.pop()) if len(names) == 1 else "score"


def dataset_title(results: Results, dataset: str) -> str:
    """A data set's name, with its metric where not all share one."""
    found = primaries(results)
    if len(set(found.values())) > 1 and dataset in found:
        return f"{title(dataset)} ({metric_name(found[dataset])})"
    return title(dataset)


def errors(part: pd.DataFrame, scale: float = 1.0) -> list[pd.Series]:
    """Lengths of the error bars below and above each value."""
    return [scale * (part.value - part.low), scale * (part.high - part.value)]


def panels(
    count: int, columns: int, height_in: float | Sequence[float], below_in: float = 0.15
) -> tuple[Figure, list]:
    """A figure one column wide with `count` panels, `height_in` inches each (or a height a row), and
    room for what stands only below the last; legends add to it.
    """
    rows = -(-count // columns)
    heights = [height_in] * rows if isinstance(height_in, int | float) else list(height_in)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(COLUMN_IN, sum(heights) + below_in),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    flat = [axis for row in axes for axis in row]
    for unused in flat[count:]:
        unused.set_visible(False)
    return figure, flat[:count]


def in_words(text: str) -> Figure:
    """A figure that has nothing to show says so."""
    figure = plt.figure(figsize=(COLUMN_IN, 0.5))
    size = rcParams["font.size"]
    figure.text(
        0.5, 0.5, wrapped(text, COLUMN_IN - 0.3, size), ha="center", va="center", color="0.35", size=size
    )
    return figure


def row_labels(
    texts: Sequence[str], size_pt: float | None = None, room_in: float = LABEL_IN
) -> list[str]:
    """Labels of rows, the long ones on several lines."""
    size = rcParams["ytick.labelsize"] if size_pt is None else size_pt
    return [wrapped(text, room_in, size) for text in texts]


def widen(axis: Axes, along: Literal["x", "y"], least: float, within: tuple[float, float]) -> None:
    """Show a stretch of at least `least` (where all values are equal there would be none) that lies
    `within` what there can be.
    """
    low, high = axis.get_xlim() if along == "x" else axis.get_ylim()
    low, high = max(low, within[0]), min(high, within[1])
    if high - low < least:
        middle = min(max((low + high) / 2, within[0] + least / 2), within[1] - least / 2)
        low, high = middle - least / 2, middle + least / 2
    (axis.set_xlim if along == "x" else axis.set_ylim)(low, high)


def widen_per_cent(axis: Axes, along: Literal["x", "y"]) -> None:
    """An axis of per cents: some points at the least, markers at 0 and 100 whole, and no tick beyond."""
    least = 7.0
    low, high = axis.get_xlim() if along == "x" else axis.get_ylim()
    margin = min(2.0, 0.08 * max(high - low, least))
    widen(axis, along, least, (-margin, 100 + margin))
