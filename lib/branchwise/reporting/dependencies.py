"""Figures of dependency-ordered answering: cost and gain, edges, and a few graphs."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from branchwise.reporting.fitting import height_in, legend_above, wrapped
from branchwise.reporting.frames import Results, title
from branchwise.reporting.graph_figure import dependency_graphs
from branchwise.reporting.look import (
    LABEL_IN,
    Look,
    dataset_title,
    errors,
    in_words,
    panels,
    quality,
    quality_label,
    row_labels,
    wide,
    widen,
    widen_per_cent,
)
from branchwise.reporting.names import metric_name
from branchwise.reporting.style import COLUMN_IN

_SMALL_PT = 6


def dependency_cost(results: Results) -> Figure:
    """The primary metric, measured and ideal latency of every strategy, a row each; two panels a data
    set.
    """
    experiment = results.experiment
    decoder = experiment.decoders[0]
    score, wall, ideal = (
        frame[frame.decoder == decoder]
        for frame in (quality(results), wide(results, "wall_s"), wide(results, "ideal_s"))
    )
    datasets = [name for name in experiment.datasets if name in {*score.dataset, *wall.dataset}]
    if not datasets:
        return in_words("No cell has a score or a time.")
    there = {*score.strategy, *wall.strategy}
    strategies = [name for name in experiment.strategies if name in there]
    labels = row_labels([results.label("strategy", name) for name in strategies], _SMALL_PT)
    titles = [wrapped(dataset_title(results, d), COLUMN_IN - LABEL_IN, 7) for d in datasets]
    height = max(0.15, height_in(labels, _SMALL_PT)) * len(strategies) + 0.25 + height_in(titles, 7)
    figure, axes = panels(2 * len(datasets), 2, height, below_in=0.5)
    look = Look(results)
    for number, dataset in enumerate(datasets):
        left, right = axes[2 * number : 2 * number + 2]
        for row, strategy in enumerate(strategies):
            part, times, bounds = (_only(f, dataset, strategy) for f in (score, wall, ideal))
            colour, marker = look.colour[strategy], look.marker[strategy]
            bars = {"fmt": marker, "color": colour, "lw": 0.8}
            left.errorbar(100 * part.value, [row] * len(part), xerr=errors(part, 100), **bars)
            right.errorbar(1000 * times.value, [row] * len(times), xerr=errors(times, 1000), **bars)
            right.plot(1000 * bounds.value, [row] * len(bounds), "|", color=colour, markersize=7)
        _finish_cost(left, right, labels)
        for axis, frame, what in ((left, score, "score"), (right, wall, "time")):
            if dataset not in set(frame.dataset):
                axis.text(0.5, 0.5, f"no {what}", transform=axis.transAxes, ha="center", color="0.35")
        left.set_title(titles[number], loc="left")
    axes[-2].set_xlabel(f"{quality_label(results)}, %")
    axes[-1].set_xlabel("ms per group\n(bar: ideal)")
    return figure


def _finish_cost(left: Axes, right: Axes, labels: Sequence[str]) -> None:
    for axis in (left, right):
        axis.set_yticks(range(len(labels)))
        axis.set_ylim(len(labels) - 0.5, -0.5)
        axis.grid(lw=0.3)
        axis.locator_params(axis="x", nbins=4)
    widen_per_cent(left, "x")
    right.set_xlim(left=0)
    left.set_yticklabels(labels, fontsize=_SMALL_PT)
    right.set_yticklabels([])


def _only(frame: pd.DataFrame, dataset: str, strategy: str) -> pd.DataFrame:
    return frame[(frame.dataset == dataset) & (frame.strategy == strategy)]


def dependency_gain(results: Results) -> Figure:
    """Gain over the baseline against the recall of the followed edges, where these are known."""
    found = {
        cell: (scores.metrics["edge_recall"], results.comparisons[cell][0])
        for cell, scores in results.scores.items()
        if "edge_recall" in scores.metrics and cell in results.comparisons
    }
    if not found:
        return in_words(
            "No gain to show: no strategy but the baseline was run on data that state which question "
            "needs which."
        )
    look = Look(results)
    figure, (axis,) = panels(1, 1, 2.1)
    for cell, (recall, gain) in found.items():
        axis.errorbar(
            100 * recall.value,
            100 * gain.value,
            yerr=[[100 * (gain.value - gain.low)], [100 * (gain.high - gain.value)]],
            color=look.colour[cell.strategy],
            marker=look.marker[cell.strategy],
            elinewidth=0.7,
        )
    axis.axhline(0, color="0.5", lw=0.7)
    axis.set_xlim(-4, 104)
    widen(axis, "y", 4, (-100, 100))
    axis.set_xlabel("recall of the known dependencies, %")
    names = {results.scores[cell].primary for cell in found}
    metric = metric_name(names.pop()) if len(names) == 1 else "score"
    over = f"{metric} over {results.label('strategy', results.experiment.baseline)}, points"
    axis.set_ylabel(wrapped(over, 1.9, 7))
    axis.grid(lw=0.3)
    look.legend(figure, strategies=list(dict.fromkeys(cell.strategy for cell in found)), line="")
    return figure


def dependency_edges(results: Results) -> Figure:
    """Dependencies followed per question, by strategy and data set."""
    experiment = results.experiment
    frame = wide(results, "edges")
    following = [s for s in experiment.strategies if experiment.catalogues.strategies[s].dependencies]
    values = {
        (row.dataset, row.strategy): row.value
        for row in frame[frame.strategy.isin(following)].iloc[::-1].itertuples()
    }
    if not any(values.values()):
        return in_words("No strategy followed any dependency.")
    look = Look(results)
    datasets = [d for d in experiment.datasets if any(d == key[0] for key in values)]
    strategies = [s for s in following if any(s == key[1] for key in values)]
    labels = row_labels([title(name) for name in datasets])
    bar_in = 0.1
    row_in = max(bar_in * len(strategies) + 0.1, height_in(labels, 6.5))
    figure, (axis,) = panels(1, 1, row_in * len(datasets) + 0.35)
    width = bar_in / row_in
    for offset, strategy in enumerate(strategies):
        for row, dataset in enumerate(datasets):
            if (dataset, strategy) in values:
                y = row + width * (offset - (len(strategies) - 1) / 2)
                _bar(axis, y, values[dataset, strategy], 0.85 * width, look.bar(strategy))
    axis.set_yticks(range(len(datasets)), labels)
    axis.set_ylim(len(datasets) - 0.5, -0.5)
    axis.set_xlim(0, 1.12 * max(values.values()))
    axis.set_xlabel("dependencies per question")
    legend_above(figure, _bar_handles(results, look, strategies))
    return figure


def _bar(axis: Axes, y: float, value: float, height: float, look: Mapping) -> None:
    """A bar with its number: one of length zero would not be seen."""
    axis.barh(y, value, height=height, **look)
    axis.annotate(
        f"{value:.2g}", (value, y), (2, 0), textcoords="offset points", va="center_baseline", fontsize=5
    )


def _bar_handles(results: Results, look: Look, strategies: Sequence[str]) -> list[Patch]:
    return [Patch(**look.bar(name), label=results.label("strategy", name)) for name in strategies]


MAKERS: dict[str, Callable[[Results], Figure]] = {
    "dependency_cost": dependency_cost,
    "dependency_gain": dependency_gain,
    "dependency_edges": dependency_edges,
    "dependency_graphs": dependency_graphs,
}
