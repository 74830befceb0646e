"""Figures of paraphrase ensembles: how many wordings they need, and what the first token sees."""

from collections.abc import Callable, Sequence
from typing import Any

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from branchwise.config import Cell
from branchwise.reporting.ensembles import Ensemble, ensembles, module_of, options_of
from branchwise.reporting.fitting import height_in, legend_above, wrapped
from branchwise.reporting.frames import Results
from branchwise.reporting.look import (
    dataset_title,
    in_words,
    panels,
    quality_label,
    row_labels,
    widen_per_cent,
)
from branchwise.reporting.style import COLUMN_IN, MARKERS
from branchwise.results import Metric


def _method(ensemble: Ensemble) -> tuple[Any, ...]:
    """What is one line: everything about a strategy but the number of wordings."""
    options = {key: v for key, v in options_of(ensemble.scores).items() if key != "wordings"}
    made = str(ensemble.scores.identity.settings.get("paraphrases"))
    return (module_of(ensemble.scores), tuple(sorted(options.items())), made)


def by_wordings(results: Results) -> Figure:
    """The primary metric against the number of wordings, a line a method; in grey the mean of single
    wordings, and above it the share of questions that any of them gets right.
    """
    found = ensembles(results)
    places = [place for place in _places(found) if len(_sizes(_at(found, place))) > 1]
    if not places:
        return in_words("No ensemble of this experiment is there in several sizes to compare.")
    figure, axes = panels(len(places), 1, 1.9)
    methods = list(dict.fromkeys(_method(one) for one in found if one.cell != one.single))
    shown: dict[tuple[Any, ...], Line2D] = {}
    for axis, place in zip(axes, places, strict=True):
        mine = _at(found, place)
        _draw_alone(axis, [one for one in mine if one.cell == one.single])
        for number, key in enumerate(methods):
            line = sorted((one for one in mine if _method(one) == key), key=lambda one: one.wordings)
            if line:
                shown.setdefault(key, _draw_method(axis, line, number, len(methods)))
        axis.set_title(wrapped(_title(results, place, places), COLUMN_IN - 0.6, 7))
        axis.set_ylabel(f"{quality_label(results, [place.dataset])}, %")
        axis.xaxis.set_major_locator(FixedLocator(_sizes(mine)))
        axis.xaxis.set_minor_locator(NullLocator())
        widen_per_cent(axis, "y")
        axis.grid(lw=0.3)
    axes[-1].set_xlabel("wordings of a question")
    alone = [
        Line2D([], [], color="0.45", linestyle="-", label="single wordings, mean"),
        Line2D([], [], color="0.45", linestyle=":", label="any wording right"),
    ]
    legend_above(figure, [*shown.values(), *alone])
    return figure


def _places(found: list[Ensemble]) -> list[Cell]:
    """What a panel is about: data set, model and decoder."""
    return list(dict.fromkeys(one.cell._replace(strategy="") for one in found))


def _at(found: list[Ensemble], place: Cell) -> list[Ensemble]:
    return [one for one in found if one.cell._replace(strategy="") == place]


def _title(results: Results, place: Cell, places: list[Cell]) -> str:
    """A data set, with model and decoder where there are several."""
    parts = [dataset_title(results, place.dataset)]
    for axis in ("model", "decoder"):
        if len({getattr(one, axis) for one in places}) > 1:
            parts.append(results.label(axis, getattr(place, axis)))
    return ", ".join(parts)


def _sizes(found: list[Ensemble]) -> list[int]:
    return sorted({one.wordings for one in found})


def _draw_alone(axis: Axes, singles: list[Ensemble]) -> None:
    """The mean of single wordings, and the oracle over them, in grey."""
    singles = sorted(singles, key=lambda one: one.wordings)
    for metric, line in (("mean_single", "-"), ("any_right", ":")):
        known = [(one.wordings, one.scores.metrics[metric].value) for one in singles]
        axis.plot([n for n, _ in known], [100 * v for _, v in known], color="0.45", linestyle=line, lw=1)


def _draw_method(axis: Axes, line: list[Ensemble], number: int, of: int) -> Line2D:
    """A method's line with intervals, `number` of so many; returns its handle for the legend."""
    labels = [one.results.label("strategy", one.cell.strategy) for one in line]
    values = [(one.wordings, one.value) for one in line]
    known = [(place, value) for place, value in values if value is not None]
    # Side by side, so that intervals of equal values can be told apart.
    numbers = [place + 0.3 * ((number + 0.5) / of - 0.5) for place, _ in known]
    points = [100 * value.value for _, value in known]
    ends = _ends([value for _, value in known])
    colour, marker = _COLOURS[number % len(_COLOURS)], MARKERS[number % len(MARKERS)]
    axis.errorbar(numbers, points, yerr=ends, color=colour, marker=marker, elinewidth=0.6)
    # Of "logit mean, 2" and "logit mean, 8" what they share.
    shared = {label.rpartition(", ")[0] for label in labels}
    name = shared.pop() if len(shared) == 1 else ""
    return Line2D([], [], color=colour, marker=marker, label=name or labels[-1])


def _ends(values: Sequence[Metric]) -> list[list[float]]:
    """Lengths of the bars below and above some values, in per cent; none where there is no interval."""
    lows = [value.value if value.low is None else value.low for value in values]
    highs = [value.value if value.high is None else value.high for value in values]
    return [
        [100 * (value.value - low) for value, low in zip(values, lows, strict=True)],
        [100 * (high - value.value) for value, high in zip(values, highs, strict=True)],
    ]


_COLOURS = [colour for place, colour in enumerate(sns.color_palette("colorblind", 10)) if place != 7]
"""Without the grey that single wordings have."""
_FIRST = {"joined": "of all wordings", "last": "of the last wording alone"}
_POSITIONS = {
    "shared": "ending together",
    "path": "beginning together",
    "consecutive": "one after another",
}


def first_token(results: Results) -> Figure:
    """Attention fusion by where the wordings stand and what the first token sees; the mean of single
    wordings in grey.
    """
    found = [one for one in ensembles(results) if module_of(one.scores) == "attention_fusion"]
    most = max((one.wordings for one in found), default=0)
    # Isolated shots are another question than where wordings stand.
    found = [one for one in found if one.wordings == most]
    found = [one for one in found if not options_of(one.scores)["isolated_shots"]]
    places = _places(found)
    if not places or len({options_of(one.scores)["first_token"] for one in found}) < 2:
        return in_words("No attention fusion is there with both kinds of a first token to compare.")
    rows = [p for p in _POSITIONS if p in {options_of(one.scores)["positions"] for one in found}]
    labels = row_labels([_POSITIONS[row] for row in rows])
    titles = [wrapped(_title(results, place, places), COLUMN_IN - 1.3, 7) for place in places]
    height = max(0.26, height_in(labels, 6.5)) * len(rows) + 0.3
    figure, axes = panels(len(places), 1, height)
    look = {"joined": ("#0173b2", "o"), "last": ("#de8f05", "s")}
    for axis, place, heading in zip(axes, places, titles, strict=True):
        mine = _at(found, place)
        mean = mine[0].alone.metrics["mean_single"].value
        axis.axvline(100 * mean, color="0.55", lw=1.2)
        for one in mine:
            options, value = options_of(one.scores), one.value
            if value is None or value.low is None or value.high is None:
                continue
            colour, marker = look[options["first_token"]]
            y = rows.index(options["positions"]) + (0.12 if options["first_token"] == "last" else -0.12)
            axis.errorbar([100 * value.value], [y], xerr=_ends([value]), fmt=marker, color=colour, lw=0.8)
        axis.set_yticks(range(len(rows)), labels)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_title(heading)
        widen_per_cent(axis, "x")
        axis.grid(axis="x", lw=0.3)
    axes[-1].set_xlabel(
        f"{quality_label(results, [place.dataset for place in places])}, %  (grey: single wordings, mean)"
    )
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"first token: {_FIRST[name]}")
        for name, (colour, marker) in look.items()
    ]
    legend_above(figure, handles, most_columns=1)
    return figure


MAKERS: dict[str, Callable[[Results], Figure]] = {"by_wordings": by_wordings, "first_token": first_token}
