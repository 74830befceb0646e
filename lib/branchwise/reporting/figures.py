"""Figures of an experiment: one column wide, colour-blind safe, as PDF, SVG and PNG."""

from collections.abc import Callable
from pathlib import Path

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FormatStrFormatter, MaxNLocator, NullFormatter

from branchwise.reporting import dependencies
from branchwise.reporting.frames import Results, family, title
from branchwise.reporting.look import Look, errors, panels, wide
from branchwise.reporting.style import save, styled


def accuracy(results: Results) -> Figure:
    """EM of every data set and strategy with intervals, and the guess by type as a grey bar."""
    look = Look(results)
    frame = wide(results, "em")
    frame = frame[frame.decoder == results.experiment.decoders[0]]
    datasets = list(results.experiment.datasets)
    figure, (axis,) = panels(1, 1, 0.36 * len(datasets) + 0.5)
    guess = wide(results, "guess").groupby("dataset", observed=True)["value"].first()
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
                xerr=errors(part, 100),
                lw=0.8,
                fmt=look.marker[strategy],
                color=look.colour[strategy],
            )
    axis.set_yticks(range(len(datasets)), [title(name) for name in datasets])
    axis.invert_yaxis()
    axis.set_xlabel("exact match, %  (grey: guess by type)")
    axis.grid(axis="x", lw=0.3)
    look.legend(figure, decoders=False)
    return figure


def _by_size(results: Results, metric: str, scale: float, label: str) -> Figure:
    look = Look(results)
    frame = wide(results, metric)
    counts = frame.groupby("family", sort=False)["questions"].nunique()
    # Families with several sizes make lines; where no family has any, all are shown as points.
    families = [
        f
        for f in dict.fromkeys(family(d) for d in results.experiment.datasets)
        if counts[f] == counts.max()
    ]
    figure, axes = panels(len(families), 1, 1.9)
    for axis, name in zip(axes, families, strict=True):
        for (_, strategy, decoder), part in frame[frame.family == name].groupby(
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
        axis.set_title(title(name))
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


def _per_cent_over_log_ms(axis: Axes) -> None:
    """A logarithmic axis with a few round ticks however short it is; per cents that end at 100."""
    axis.set_xscale("log")
    low, high = axis.get_xlim()
    decades = [10.0**power for power in range(-3, 9)]
    for steps in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        ticks = [decade * step for decade in decades for step in steps if low < decade * step < high]
        if len(ticks) >= 2:
            break
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FormatStrFormatter("%g"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    bottom, top = axis.get_ylim()
    top = min(top, 101.5)
    axis.set_ylim(min(bottom, top - 7), top)
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axis.grid(lw=0.3)


def quality_latency(results: Results) -> Figure:
    """EM against wall time, a panel a data set, intervals on both; filled: the first decoder."""
    look = Look(results)
    em, wall = wide(results, "em"), wide(results, "wall_s")
    datasets = list(results.experiment.datasets)
    figure, axes = panels(len(datasets), min(2, len(datasets)), 1.45)
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
        axis.set_title(title(dataset))
        _per_cent_over_log_ms(axis)
    hollow = ", ".join(results.label("decoder", d) for d in look.dash if d != first)
    note = f"; filled: {results.label('decoder', first)}, hollow: {hollow}" if hollow else ""
    figure.supxlabel(f"wall time per group, ms (log){note}")
    figure.supylabel("exact match, %")
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
    figure, (axis,) = panels(1, 1, 0.24 * len(bars) + 0.45)
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
    **dependencies.MAKERS,
}


def write_figure(name: str, results: Results, folder: Path) -> None:
    """Draw one figure and write it in every format."""
    with styled():
        save(MAKERS[name](results), folder / name, results.provenance)
