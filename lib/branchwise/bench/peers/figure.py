"""The comparison as a figure: processor time of each work, as a multiple of the tree's. Torch-free."""

from pathlib import Path
from typing import Any

import seaborn as sns
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from branchwise.errors import UserError
from branchwise.reporting.fitting import legend_above
from branchwise.reporting.look import NUM_COLOURS, row_labels
from branchwise.reporting.style import COLUMN_IN, FORMATS, HATCHES, save, styled
from branchwise.reporting.ticks import label_log

_BAR = 0.8
"""Of the room of a work, what its bars take."""


def draw_peers(result: dict[str, Any]) -> Figure:
    """A bar a system for each work, from the tree's time to its own, with a line from the least to the
    most of the rounds. Logarithmic.
    """
    works, ours = result["works"], next(iter(result["systems"]), "")
    ran = {row["system"] for row in result["rows"]}
    others = [name for name in result["systems"] if name in ran and name != ours]
    if ours not in ran or not others:
        raise UserError(
            "the comparison holds nothing beside the tree", "install what it left out, and run it again"
        )
    figure, axis = plt.subplots(
        figsize=(COLUMN_IN, 0.5 + len(works) * (0.15 + 0.11 * len(others))), layout="constrained"
    )
    axis.axvline(1, color="black", linewidth=1, label=result["systems"][ours]["title"])
    for number, name in enumerate(others):
        _bars(axis, result, name, number, len(others))
    axis.set_yticks(range(len(works)), row_labels([_named(result, work) for work in works]))
    axis.invert_yaxis()
    axis.set_xlabel("processor time, as a multiple of the tree's")
    label_log(axis, "x", COLUMN_IN - 1.4)
    axis.tick_params(axis="y", length=0)
    sns.despine(ax=axis)
    legend_above(figure, axis.get_legend_handles_labels()[0], most_columns=2)
    return figure


def _named(result: dict[str, Any], work: dict[str, Any]) -> str:
    """A work and what the tree takes for it."""
    rows = (row for row in result["rows"] if row["work"] == work["name"])
    return f"{work['title']} ({next(rows)['cpu_s']:.3g}\u00a0s)"


def _bars(axis: Axes, result: dict[str, Any], name: str, number: int, count: int) -> None:
    """The bars of one system, one a work."""
    rows = {row["work"]: row for row in result["rows"] if row["system"] == name}
    ours = {row["work"]: row for row in result["rows"] if row["system"] == next(iter(result["systems"]))}
    height = _BAR / count
    places, lengths, spreads = [], [], []
    for place, work in enumerate(result["works"]):
        row = rows.get(work["name"])
        if row is None or row["ratio"] is None:
            continue
        pairs = zip(row["cpu_s_all"], ours[work["name"]]["cpu_s_all"], strict=False)
        ratios = [one / other for one, other in pairs]
        places.append(place + (number - (count - 1) / 2) * height)
        lengths.append(row["ratio"] - 1)
        spreads.append((row["ratio"] - min(ratios), max(ratios) - row["ratio"]))
    palette = sns.color_palette("colorblind", NUM_COLOURS)
    axis.barh(
        places,
        lengths,
        0.92 * height,
        left=1,
        label=result["systems"][name]["title"],
        color=palette[number % NUM_COLOURS],
        hatch=HATCHES[number // NUM_COLOURS % len(HATCHES)],
        xerr=list(zip(*spreads, strict=True)) or None,
        error_kw={"ecolor": "0.4", "elinewidth": 0.6},
    )


def about(result: dict[str, Any]) -> str:
    """The small print: which model, on what."""
    threads = f"{result['threads']} thread" + "s" * (result["threads"] > 1)
    rounds = f"{result['rounds']} round" + "s" * (result["rounds"] > 1)
    return f"{result['model']['name']}, float32, {threads}, {rounds}, {result['machine']}"


def check_name(path: Path) -> None:
    """Raises UserError for a file of a format that figures are not written in."""
    if path.suffix.removeprefix(".") not in FORMATS:
        raise UserError(f"--figure {path} ends in none of {', '.join(FORMATS)}", "name one such file")


def write_peers(result: dict[str, Any], path: Path) -> None:
    """Draw a result to a file of one of the formats."""
    check_name(path)
    with styled():
        figure = draw_peers(result)
        save(figure, path.with_suffix(""), about(result), (path.suffix.removeprefix("."),))
