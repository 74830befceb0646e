"""Paraphrase ensembles: what fusing several wordings gives over asking each of them alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import StatisticsError, correlation, fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from branchwise.config import Cell
from branchwise.reporting.comparing import Comparison, Unit, compare, primary_measure
from branchwise.reporting.fitting import height_in, legend_above, wrapped
from branchwise.reporting.frames import Results
from branchwise.reporting.look import (
    Look,
    dataset_title,
    in_words,
    panels,
    quality_label,
    row_labels,
    widen_per_cent,
)
from branchwise.reporting.names import metric_name
from branchwise.reporting.numbers import with_interval
from branchwise.reporting.style import COLUMN_IN
from branchwise.results import Metric, Scores

SINGLE = "per_prompt"
"""The module that answers every wording alone."""


def options_of(scores: Scores) -> Mapping[str, Any]:
    """The options of the strategy that made the scored answers."""
    return scores.identity.settings["strategy"]["options"]


def module_of(scores: Scores) -> str:
    """Its module."""
    return scores.identity.settings["strategy"]["module"]


@dataclass(frozen=True)
class Ensemble:
    """A cell that asks questions in several wordings, beside the one that asks each of them alone."""

    results: Results
    cell: Cell
    single: Cell

    @property
    def scores(self) -> Scores:
        """The cell's own."""
        return self.results.scores[self.cell]

    @property
    def wordings(self) -> int:
        """Wordings that a question is asked in, where it has as many."""
        return int(options_of(self.scores)["wordings"])

    @property
    def value(self) -> Metric | None:
        """The data set's primary metric."""
        return self.scores.metrics.get(self.scores.primary)

    @property
    def alone(self) -> Scores:
        """The scores of the wordings alone."""
        return self.results.scores[self.single]

    @cached_property
    def gain(self) -> Comparison | None:
        """Its primary metric less the mean of the wordings alone, over the same questions."""
        return compare(primary_measure(self.results.scores), self.cell, self.single)

    def _pairs(self, metric: str) -> list[tuple[float, float]]:
        """Of each question: its primary metric, and a metric of its wordings alone."""
        mine = primary_measure(self.results.scores).values(self.cell)
        theirs: dict[Unit, float | None] = {
            (q.group, q.question): q.more.get(metric) for q in self.alone.questions
        }
        pairs = [(value, theirs.get(unit)) for unit, value in mine.items()]
        return [(one, other) for one, other in pairs if other is not None]

    @property
    def rescued(self) -> float | None:
        """Share of the questions that some but not all wordings get right which are right here."""
        both = zip(self._pairs("any_right"), self._pairs("all_right"), strict=True)
        found = [value for (value, some), (_, all_) in both if some == 1 and all_ < 1]
        return fmean(found) if found else None

    @property
    def new(self) -> float | None:
        """Share of the questions that no wording gets right which are right here."""
        found = [value for value, some in self._pairs("any_right") if some == 0]
        return fmean(found) if found else None

    @property
    def correlation(self) -> float | None:
        """Pearson's, over questions, with the share of wordings that are right."""
        pairs = self._pairs("mean_single")
        try:
            return correlation([one for one, _ in pairs], [other for _, other in pairs])
        except StatisticsError:  # one of the two is constant, or there is one question
            return None


def ensembles(results: Results) -> list[Ensemble]:
    """All cells that ask several wordings and have one beside them that asks the same ones alone."""
    found = []
    for cell, scores in results.scores.items():
        options = options_of(scores)
        if "wordings" not in options:
            continue
        single = next(
            (
                other
                for other, theirs in results.scores.items()
                if other._replace(strategy="") == cell._replace(strategy="")
                and module_of(theirs) == SINGLE
                and options_of(theirs)["take"] == "each"
                and all(options_of(theirs)[key] == options[key] for key in ("wordings", "seed"))
            ),
            None,
        )
        if single is not None:
            found.append(Ensemble(results, cell, single))
    return found


def rows_of(results: Results) -> list[dict[str, object]]:
    """Of every ensemble: its score, what it gains over single wordings, what these say together, and what
    it costs a question.
    """
    rows = []
    for one in ensembles(results):
        questions = sum(group.num_questions for group in one.scores.groups)
        groups = len(one.scores.groups)
        wall = results.metric(one.cell, "wall_s")
        passes = one.scores.metrics["forward_passes"].value
        gain = one.gain if one.cell != one.single else None
        alone = one.alone.metrics
        rows.append(
            {
                **one.cell._asdict(),
                "groups": groups,
                "questions": questions,
                "wordings": _number(one.scores.metrics.get("wordings"), 1, 1),
                "metric": metric_name(one.scores.primary),
                "value": with_interval(one.value, 100, 1) if one.value else "",
                "single": _number(alone.get("mean_single"), 100, 1),
                "gain": with_interval(gain.difference, 100, 1) if gain else "",
                "any right": _number(alone.get("any_right"), 100, 1),
                "all right": _number(alone.get("all_right"), 100, 1),
                "consistency": _number(alone.get("consistency"), 100, 1),
                "rescued": _share(one.rescued),
                "new": _share(one.new),
                "correlation": "" if one.correlation is None else f"{one.correlation:.2f}",
                "passes": f"{passes * groups / questions:.1f}",
                "ms": f"{1000 * wall.value * groups / questions:.1f}" if wall else "",
            }
        )
    return rows


def _number(metric: Metric | None, scale: float, digits: int) -> str:
    return "" if metric is None else f"{scale * metric.value:.{digits}f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _method(ensemble: Ensemble) -> tuple[Any, ...]:
    """What is one line: everything about a strategy but the number of wordings."""
    options = {k: v for k, v in options_of(ensemble.scores).items() if k not in ("wordings", "seed")}
    cell = ensemble.cell
    return (cell.model, cell.decoder, module_of(ensemble.scores), tuple(sorted(options.items())))


def by_wordings(results: Results) -> Figure:
    """The primary metric against the number of wordings, a line a method; in grey the mean of single
    wordings, and above it the share of questions that any of them gets right.
    """
    found = ensembles(results)
    datasets = [d for d in results.experiment.datasets if len(_sizes(found, d)) > 1]
    if not datasets:
        return in_words("No ensemble of this experiment is there in several sizes to compare.")
    look = Look(results)
    figure, axes = panels(len(datasets), 1, 1.9)
    shown: dict[tuple[Any, ...], Line2D] = {}
    for axis, dataset in zip(axes, datasets, strict=True):
        mine = [one for one in found if one.cell.dataset == dataset]
        _draw_alone(axis, [one for one in mine if one.cell == one.single])
        for key in dict.fromkeys(_method(one) for one in mine if one.cell != one.single):
            line = sorted((one for one in mine if _method(one) == key), key=lambda one: one.wordings)
            shown.setdefault(key, _draw_method(axis, line, look))
        axis.set_title(wrapped(dataset_title(results, dataset), COLUMN_IN - 0.6, 7))
        axis.set_ylabel(f"{quality_label(results, [dataset])}, %")
        axis.xaxis.set_major_locator(FixedLocator(_sizes(mine, dataset)))
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


def _sizes(found: list[Ensemble], dataset: str) -> list[int]:
    return sorted({one.wordings for one in found if one.cell.dataset == dataset})


def _draw_alone(axis: Axes, singles: list[Ensemble]) -> None:
    """The mean of single wordings, and the oracle over them, in grey."""
    singles = sorted(singles, key=lambda one: one.wordings)
    for metric, line in (("mean_single", "-"), ("any_right", ":")):
        known = [(one.wordings, one.scores.metrics[metric].value) for one in singles]
        axis.plot([n for n, _ in known], [100 * v for _, v in known], color="0.45", linestyle=line, lw=1)


def _draw_method(axis: Axes, line: list[Ensemble], look: Look) -> Line2D:
    """A method's line with intervals; returns its handle for the legend."""
    last = line[-1].cell
    values = [(one.wordings, one.value) for one in line]
    known = [(number, value) for number, value in values if value is not None]
    numbers = [number for number, _ in known]
    points = [100 * value.value for _, value in known]
    ends = [
        [100 * (v.value - (v.value if v.low is None else v.low)) for _, v in known],
        [100 * ((v.value if v.high is None else v.high) - v.value) for _, v in known],
    ]
    colour, marker = look.colour[last.strategy], look.marker[last.strategy]
    axis.errorbar(numbers, points, yerr=ends, color=colour, marker=marker, elinewidth=0.6)
    name = look.results.label("strategy", last.strategy)
    return Line2D([], [], color=colour, marker=marker, label=name)


_FIRST = {"joined": "of all wordings", "last": "of the last wording alone"}
_PLACES = {"shared": "ending together", "path": "beginning together", "consecutive": "one after another"}


def first_token(results: Results) -> Figure:
    """Attention fusion by where the wordings stand and what the first token sees; the mean of single
    wordings in grey.
    """
    found = [one for one in ensembles(results) if module_of(one.scores) == "attention_fusion"]
    most = max((one.wordings for one in found), default=0)
    found = [one for one in found if one.wordings == most]
    datasets = [d for d in results.experiment.datasets if d in {one.cell.dataset for one in found}]
    if not datasets or len({options_of(one.scores)["first_token"] for one in found}) < 2:
        return in_words("No attention fusion is there with both kinds of a first token to compare.")
    places = [p for p in _PLACES if p in {options_of(one.scores)["positions"] for one in found}]
    labels = row_labels([_PLACES[place] for place in places])
    titles = [wrapped(dataset_title(results, name), COLUMN_IN - 1.3, 7) for name in datasets]
    height = max(0.26, height_in(labels, 6.5)) * len(places) + 0.3
    figure, axes = panels(len(datasets), 1, height)
    look = {"joined": ("#0173b2", "o"), "last": ("#de8f05", "s")}
    for axis, dataset, heading in zip(axes, datasets, titles, strict=True):
        mine = [one for one in found if one.cell.dataset == dataset]
        mean = mine[0].alone.metrics["mean_single"].value
        axis.axvline(100 * mean, color="0.55", lw=1.2)
        for one in mine:
            options, value = options_of(one.scores), one.value
            if value is None or value.low is None or value.high is None:
                continue
            colour, marker = look[options["first_token"]]
            y = places.index(options["positions"]) + (0.12 if options["first_token"] == "last" else -0.12)
            ends = [[100 * (value.value - value.low)], [100 * (value.high - value.value)]]
            axis.errorbar([100 * value.value], [y], xerr=ends, fmt=marker, color=colour, lw=0.8)
        axis.set_yticks(range(len(places)), labels)
        axis.set_ylim(len(places) - 0.5, -0.5)
        axis.set_title(heading)
        widen_per_cent(axis, "x")
        axis.grid(axis="x", lw=0.3)
    axes[-1].set_xlabel(f"{quality_label(results, datasets)}, %  (grey: single wordings, mean)")
    handles = [
        Line2D([], [], color=colour, marker=marker, linestyle="", label=f"first token: {_FIRST[name]}")
        for name, (colour, marker) in look.items()
    ]
    legend_above(figure, handles, most_columns=1)
    return figure


MAKERS: dict[str, Callable[[Results], Figure]] = {"by_wordings": by_wordings, "first_token": first_token}
