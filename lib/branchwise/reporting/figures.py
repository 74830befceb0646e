"""Figures of an experiment: one column wide, colour-blind safe, as PDF, SVG and PNG."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from branchwise.reporting.frames import Results, family, ordered
from branchwise.reporting.style import COLUMN_IN, DASHES, MARKERS, save, styled


class Look:
    """One colour and marker a strategy, one line style a decoder, the same in every figure."""

    def __init__(self, results: Results) -> None:
        experiment = results.experiment
        palette = sns.color_palette("colorblind", len(experiment.strategies))
        self.results = results
        self.colour = dict(zip(experiment.strategies, palette, strict=True))
        self.marker = {s: MARKERS[i % len(MARKERS)] for i, s in enumerate(experiment.strategies)}
        self.dash = {d: DASHES[i % len(DASHES)] for i, d in enumerate(experiment.decoders)}

    def face(self, strategy: str, decoder: str) -> Any:
        """Fill of a marker: its colour for the first decoder, white for the others."""
        first = self.results.experiment.decoders[0]
        return self.colour[strategy] if decoder == first else "white"

    def legend(self, figure: Figure, decoders: bool = True) -> None:
        """Strategies and, where there are several, decoders, above the axes."""
        label = self.results.label
        handles = [
            Line2D([], [], color=c, marker=self.marker[s], label=label("strategy", s))
            for s, c in self.colour.items()
        ]
        if decoders and len(self.dash) > 1:
            handles += [
                Line2D([], [], color="0.3", linestyle=dash, label=label("decoder", d))
                for d, dash in self.dash.items()
            ]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=min(3, len(handles)),
            frameon=False,
            columnspacing=1.0,
            handlelength=1.9,
        )


def _wide(results: Results, metric: str) -> pd.DataFrame:
    frame = results.metrics()
    return ordered(frame[frame.metric == metric], results.experiment)


def _errors(part: pd.DataFrame, scale: float = 1.0) -> list[pd.Series]:
    return [scale * (part.value - part.low), scale * (part.high - part.value)]


def _panels(count: int, columns: int, height_in: float) -> tuple[Figure, list]:
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(COLUMN_IN, height_in * rows + 0.4),
        squeeze=False,
        layout="constrained",
    )
    flat = [axis for row in axes for axis in row]
    for unused in flat[count:]:
        unused.set_visible(False)
    return figure, flat[:count]


def _title(name: str) -> str:
    return name.replace("_", " ")


def accuracy(results: Results) -> Figure:
    """EM of every data set and strategy with intervals, and the guess by type as a grey bar."""
    look = Look(results)
    frame = _wide(results, "em")
    frame = frame[frame.decoder == results.experiment.decoders[0]]
    datasets = list(results.experiment.datasets)
    figure, (axis,) = _panels(1, 1, 0.36 * len(datasets) + 0.5)
    guess = _wide(results, "guess").groupby("dataset", observed=True)["value"].first()
    strategies = results.experiment.strategies
    for row, dataset in enumerate(datasets):
        if dataset in guess.index:
            axis.plot([100 * guess[dataset]] * 2, [row - 0.38, row + 0.38], color="0.55", lw=1.2)
        for offset, strategy in enumerate(strategies):
            part = frame[(frame.dataset == dataset) & (frame.strategy == strategy)]
            y = row + 0.24 * (offset - (len(strategies) - 1) / 2)
            axis.errorbar(
                100 * part.value,
                [y] * len(part),
                xerr=_errors(part, 100),
                lw=0.8,
                fmt=look.marker[strategy],
                color=look.colour[strategy],
            )
    axis.set_yticks(range(len(datasets)), [_title(name) for name in datasets])
    axis.invert_yaxis()
    axis.set_xlabel("exact match, %  (grey: guess by type)")
    axis.grid(axis="x", lw=0.3)
    look.legend(figure, decoders=False)
    return figure


def _by_size(results: Results, metric: str, scale: float, label: str) -> Figure:
    look = Look(results)
    frame = _wide(results, metric)
    counts = frame.groupby("family", sort=False)["questions"].nunique()
    # Families with several sizes make lines; where no family has any, all are shown as points.
    families = [
        f
        for f in dict.fromkeys(family(d) for d in results.experiment.datasets)
        if counts[f] == counts.max()
    ]
    figure, axes = _panels(len(families), 1, 1.9)
    for axis, name in zip(axes, families, strict=True):
        for (_, strategy, decoder), part in frame[frame.family == name].groupby(
            ["model", "strategy", "decoder"], observed=True, sort=False
        ):
            part = part.sort_values("questions")
            axis.errorbar(
                part.questions,
                scale * part.value,
                yerr=_errors(part, scale),
                elinewidth=0.7,
                color=look.colour[strategy],
                marker=look.marker[strategy],
                linestyle=look.dash[decoder],
                markerfacecolor=look.face(strategy, decoder),
            )
        axis.set_title(_title(name))
        axis.set_ylabel(label)
        axis.set_xticks(sorted(frame[frame.family == name].questions.unique()))
        axis.grid(lw=0.3)
    axes[-1].set_xlabel("questions per group")
    look.legend(figure)
    return figure


def accuracy_by_size(results: Results) -> Figure:
    """EM against questions per group."""
    return _by_size(results, "em", 100, "exact match, %")


def latency_by_size(results: Results) -> Figure:
    """Wall time of a group against questions per group."""
    figure = _by_size(results, "wall_s", 1000, "wall time per group, ms")
    for axis in figure.axes:
        axis.set_ylim(bottom=0)
    return figure


def quality_latency(results: Results) -> Figure:
    """EM against wall time, a panel a data set, intervals on both; filled: the first decoder."""
    look = Look(results)
    em, wall = _wide(results, "em"), _wide(results, "wall_s")
    datasets = list(results.experiment.datasets)
    figure, axes = _panels(len(datasets), min(2, len(datasets)), 1.45)
    first = results.experiment.decoders[0]
    keys = ["model", "strategy", "decoder"]
    for axis, dataset in zip(axes, datasets, strict=True):
        both = em[em.dataset == dataset].merge(
            wall[wall.dataset == dataset], on=keys, suffixes=("", "_wall")
        )
        for row in both.itertuples():
            colour = look.colour[row.strategy]
            axis.errorbar(
                1000 * row.value_wall,
                100 * row.value,
                xerr=[
                    [1000 * (row.value_wall - row.low_wall)],
                    [1000 * (row.high_wall - row.value_wall)],
                ],
                yerr=[[100 * (row.value - row.low)], [100 * (row.high - row.value)]],
                fmt=look.marker[row.strategy],
                color=colour,
                elinewidth=0.7,
                markerfacecolor=look.face(row.strategy, row.decoder),
            )
        axis.set_title(_title(dataset))
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(lw=0.3)
    hollow = ", ".join(results.label("decoder", d) for d in look.dash if d != first)
    note = f"; filled: {results.label('decoder', first)}, hollow: {hollow}" if hollow else ""
    figure.supxlabel(f"wall time per group, ms (log){note}", fontsize=7)
    figure.supylabel("exact match, %", fontsize=7)
    look.legend(figure, decoders=False)
    return figure


def tokens(results: Results) -> Figure:
    """Tokens per question by strategy and decoder: computed, padding, generated; cached in grey."""
    frame = results.metrics()
    parts = {
        "unique": "prompt, computed",
        "padding": "padding",
        "generated": "generated",
        "cached": "prompt, from the tree",
    }
    colours = dict(zip(parts, [*sns.color_palette("colorblind", 3), (0.8, 0.8, 0.8)], strict=True))
    frame = frame[frame.metric.isin(list(parts))].copy()
    # Bars are comparable only over the data sets that all of them have.
    bars_per_set = frame.groupby("dataset")[["strategy", "decoder"]].apply(
        lambda part: len(part.drop_duplicates())
    )
    shared = bars_per_set.index[bars_per_set == bars_per_set.max()]
    frame = frame[frame.dataset.isin(shared)]
    frame["value"] = frame.value / frame.questions
    mean = frame.groupby(["strategy", "decoder", "metric"], observed=True)["value"].mean()
    bars = [
        (s, d)
        for s in results.experiment.strategies
        for d in results.experiment.decoders
        if (s, d) in {key[:2] for key in mean.index}
    ]
    figure, (axis,) = _panels(1, 1, 0.24 * len(bars) + 0.45)
    for row, (strategy, decoder) in enumerate(bars):
        left = 0.0
        for metric in parts:
            width = mean[strategy, decoder, metric]
            axis.barh(row, width, left=left, color=colours[metric], height=0.7, linewidth=0)
            left += width
    names = [f"{results.label('strategy', s)}, {results.label('decoder', d)}" for s, d in bars]
    axis.set_yticks(range(len(bars)), names)
    axis.invert_yaxis()
    axis.set_xlabel(f"tokens per question, mean over {len(shared)} data sets")
    handles = [Patch(color=colours[m], label=text) for m, text in parts.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False)
    return figure


MAKERS: dict[str, Callable[[Results], Figure]] = {
    "accuracy": accuracy,
    "accuracy_by_size": accuracy_by_size,
    "latency_by_size": latency_by_size,
    "quality_latency": quality_latency,
    "tokens": tokens,
}

# Files must not differ because they were drawn on another day.


def write_figure(name: str, results: Results, folder: Path) -> None:
    """Draw one figure and write it in every format."""
    with styled():
        save(MAKERS[name](results), folder / name)
