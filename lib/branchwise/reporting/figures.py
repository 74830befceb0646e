"""Figures of an experiment: one column wide, colour-blind safe, as PDF, SVG and PNG.

A figure of nothing (a metric that no cell has) says so in words; a panel of nothing is left out.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from branchwise.reporting import dependencies, ensemble_figures
from branchwise.reporting.fitting import height_in, legend_above, wrapped
from branchwise.reporting.frames import Results, title
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
    widen_per_cent,
)
from branchwise.reporting.names import families_by_size
from branchwise.reporting.style import COLUMN_IN, save, styled
from branchwise.reporting.ticks import label_log
from branchwise.reporting.training_figure import draw_trainings


def accuracy(results: Results) -> Figure:
    """The primary metric of every data set and strategy with intervals, and the guess by type in grey."""
    look = Look(results)
    frame = quality(results)
    frame = frame[frame.decoder == results.experiment.decoders[0]]
    datasets = [name for name in results.experiment.datasets if name in set(frame.dataset)]
    if not datasets:
        return in_words("No cell has a score.")
    strategies = [name for name in results.experiment.strategies if name in set(frame.strategy)]
    step_in = max(0.075, min(0.09, 0.3 / len(strategies)))
    labels = row_labels([dataset_title(results, name) for name in datasets])
    row_in = max(0.36, step_in * len(strategies) + 0.12, height_in(labels, 6.5))
    figure, (axis,) = panels(1, 1, row_in * len(datasets) + 0.35)
    guess = wide(results, "guess").groupby("dataset", observed=True)["value"].first()
    for row, dataset in enumerate(datasets):
        if dataset in guess.index:
            axis.plot([100 * guess[dataset]] * 2, [row - 0.42, row + 0.42], color="0.55", lw=1.2)
        for offset, strategy in enumerate(strategies):
            part = frame[(frame.dataset == dataset) & (frame.strategy == strategy)]
            y = row + step_in / row_in * (offset - (len(strategies) - 1) / 2)
            axis.errorbar(
                100 * part.value,
                [y] * len(part),
                xerr=errors(part, 100),
                lw=0.8,
                fmt=look.marker[strategy],
                color=look.colour[strategy],
            )
    axis.set_yticks(range(len(datasets)), labels)
    axis.set_ylim(len(datasets) - 0.5, -0.5)
    widen_per_cent(axis, "x")
    note = "  (grey: guess by type)" if len(guess) else ""
    axis.set_xlabel(f"{quality_label(results)}, %{note}")
    axis.grid(axis="x", lw=0.3)
    look.legend(figure, line="")
    return figure


def _by_size(
    results: Results, frame: pd.DataFrame, scale: float, label: Callable[[list[str]], str]
) -> Figure:
    """A line a strategy, model and decoder against questions per group, a panel a family of data sets."""
    look = Look(results)
    families = [f for f in families_by_size(results.experiment.datasets) if f in set(frame.family)]
    if not families:
        return in_words("No data set of this experiment has groups of several sizes to compare.")
    figure, axes = panels(len(families), 1, 1.75)
    for axis, name in zip(axes, families, strict=True):
        mine = frame[frame.family == name]
        for (_, strategy, decoder), part in mine.groupby(
            ["model", "strategy", "decoder"], observed=True, sort=False
        ):
            part = part.sort_values("questions")
            axis.errorbar(
                part.questions,
                scale * part.value,
                yerr=errors(part, scale),
                elinewidth=0.7,
                color=look.colour[strategy],
                marker=look.marker[strategy],
                linestyle=look.dash[decoder],
                markerfacecolor=look.face(strategy, decoder),
            )
        axis.set_title(wrapped(title(name), COLUMN_IN - 0.6, 7))
        axis.set_ylabel(label(list(mine.dataset.unique())))
        _label_sizes(axis, sorted(mine.questions.unique()))
        axis.grid(lw=0.3)
    axes[-1].set_xlabel("questions per group")
    look.legend(figure, decoders="dash")
    return figure


def _label_sizes(axis: Axes, sizes: list[float]) -> None:
    """A tick at every size; sizes that double stand at equal distances."""
    if sizes[-1] >= 8 * sizes[0]:
        axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(sizes))
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.3g}")
    axis.xaxis.set_minor_locator(NullLocator())


def accuracy_by_size(results: Results) -> Figure:
    """The primary metric against questions per group."""
    figure = _by_size(results, quality(results), 100, lambda names: f"{quality_label(results, names)}, %")
    for axis in figure.axes:
        widen_per_cent(axis, "y")
    return figure


def latency_by_size(results: Results) -> Figure:
    """Wall time of a group against questions per group."""
    figure = _by_size(results, wide(results, "wall_s"), 1000, lambda names: "wall time per group, ms")
    for axis in figure.axes:
        axis.set_ylim(bottom=0)
    return figure


def quality_latency(results: Results) -> Figure:
    """The primary metric against wall time, a panel a data set, intervals on both; filled: the first
    decoder.
    """
    look = Look(results)
    both = quality(results).merge(
        wide(results, "wall_s"), on=["dataset", "model", "strategy", "decoder"], suffixes=("", "_wall")
    )
    datasets = [name for name in results.experiment.datasets if name in set(both.dataset)]
    if not datasets:
        return in_words("No cell has both a score and a time.")
    columns = min(2, len(datasets))
    panel_in = COLUMN_IN / columns
    titles = [wrapped(dataset_title(results, name), panel_in - 0.45, 7) for name in datasets]
    height = (1.25 if columns > 1 else 1.85) + height_in(titles, 7)
    figure, axes = panels(len(datasets), columns, height)
    for axis, dataset, heading in zip(axes, datasets, titles, strict=True):
        for row in both[both.dataset == dataset].itertuples():
            axis.errorbar(
                1000 * row.value_wall,
                100 * row.value,
                xerr=[
                    [1000 * (row.value_wall - row.low_wall)],
                    [1000 * (row.high_wall - row.value_wall)],
                ],
                yerr=[[100 * (row.value - row.low)], [100 * (row.high - row.value)]],
                fmt=look.marker[row.strategy],
                color=look.colour[row.strategy],
                elinewidth=0.7,
                markerfacecolor=look.face(row.strategy, row.decoder),
            )
        axis.set_title(heading)
        label_log(axis, "x", panel_in - 0.5)
        widen_per_cent(axis, "y")
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
        axis.grid(lw=0.3)
    figure.supxlabel("wall time per group, ms (log)")
    for axis in axes[::columns]:
        axis.set_ylabel(f"{quality_label(results)}, %")
    look.legend(figure, decoders="fill", line="")
    return figure


_TOKENS = {
    "unique": "prompt, computed",
    "padding": "padding",
    "generated": "generated",
    "cached": "prompt, from the tree",
}


def tokens(results: Results) -> Figure:
    """Tokens per question by strategy and decoder: computed, padding, generated; cached in grey."""
    frame = results.metrics()
    frame = frame[frame.metric.isin(list(_TOKENS))].copy()
    if frame.empty:
        return in_words("No cell has counted its tokens.")
    # Bars are comparable only over the data sets that all of them have.
    bars_per_set = frame.groupby("dataset")[["strategy", "decoder"]].apply(
        lambda part: len(part.drop_duplicates())
    )
    shared = bars_per_set.index[bars_per_set == bars_per_set.max()]
    frame = frame[frame.dataset.isin(shared)]
    frame["value"] = frame.value / frame.questions
    mean = frame.groupby(["strategy", "decoder", "metric"], observed=True)["value"].mean()
    there = {key[:2] for key in mean.index}
    experiment = results.experiment
    bars = [(s, d) for s in experiment.strategies for d in experiment.decoders if (s, d) in there]
    names = [_bar_name(results, strategy, decoder) for strategy, decoder in bars]
    labels = row_labels(names, room_in=LABEL_IN)
    figure, (axis,) = panels(1, 1, max(0.2, height_in(labels, 6.5)) * len(bars) + 0.35)
    _stack(axis, mean, bars)
    axis.set_yticks(range(len(bars)), labels)
    axis.set_ylim(len(bars) - 0.5, -0.5)
    over = title(shared[0]) if len(shared) == 1 else f"mean over {len(shared)} data sets"
    room_in = COLUMN_IN - LABEL_IN - 0.2
    label = wrapped(f"tokens per question, {over}", room_in, 7)
    axis.set_xlabel(f"tokens per question,\n{wrapped(over, room_in, 7)}" if "\n" in label else label)
    handles = [
        Patch(color=colour, label=_TOKENS[metric])
        for metric, colour in _token_colours().items()
        if mean[mean.index.get_level_values("metric") == metric].any()
    ]
    legend_above(figure, handles, most_columns=2)
    return figure


def _bar_name(results: Results, strategy: str, decoder: str) -> str:
    name = results.label("strategy", strategy)
    if len(results.experiment.decoders) == 1:
        return name
    return f"{name}, {results.label('decoder', decoder)}"


def _token_colours() -> dict[str, tuple]:
    return dict(zip(_TOKENS, [*sns.color_palette("colorblind", 3), (0.8, 0.8, 0.8)], strict=True))


def _stack(axis: Axes, mean: pd.Series, bars: list[tuple[str, str]]) -> None:
    """The parts of every bar behind each other."""
    for row, (strategy, decoder) in enumerate(bars):
        left = 0.0
        for metric, colour in _token_colours().items():
            # One of no width would still hold the frame to where it begins.
            if width := mean.get((strategy, decoder, metric), 0.0):
                axis.barh(row, width, left=left, color=colour, height=0.7, linewidth=0)
                left += width


MAKERS: dict[str, Callable[[Results], Figure]] = {
    "accuracy": accuracy,
    "accuracy_by_size": accuracy_by_size,
    "latency_by_size": latency_by_size,
    "quality_latency": quality_latency,
    "tokens": tokens,
    **dependencies.MAKERS,
    **ensemble_figures.MAKERS,
    "training_curves": lambda results: draw_trainings(results.trainings),
}


def write_figure(name: str, results: Results, folder: Path) -> None:
    """Draw one figure and write it in every format."""
    with styled():
        save(MAKERS[name](results), folder / name, results.provenance)
