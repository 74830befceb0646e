"""Paraphrase ensembles: what fusing several wordings gives over asking each of them alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from statistics import StatisticsError, correlation, fmean
from typing import Any

from branchwise.config import Cell
from branchwise.reporting.comparing import Comparison, Unit, compare, primary_measure
from branchwise.reporting.frames import Results
from branchwise.reporting.names import metric_name
from branchwise.reporting.numbers import with_interval
from branchwise.results import Metric, Scores

SINGLE = "per_prompt"
"""The module that answers every wording alone."""
MODULES = (SINGLE, "logit_fusion", "attention_fusion")
"""Those that ask several wordings by the same options."""


def options_of(scores: Scores) -> Mapping[str, Any]:
    """The options of the strategy that made the scored answers."""
    return scores.identity.settings.get("strategy", {}).get("options", {})


def module_of(scores: Scores) -> str:
    """Its module."""
    return scores.identity.settings.get("strategy", {}).get("module", "")


def asked_of(scores: Scores) -> tuple[Any, ...]:
    """What decides which wordings a cell asks, and of which weights."""
    settings, options = scores.identity.settings, options_of(scores)
    checkpoint = settings.get("strategy", {}).get("checkpoint")
    return options["wordings"], options["seed"], settings.get("paraphrases"), checkpoint


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
        if module_of(scores) not in MODULES:
            continue
        single = next(
            (
                other
                for other, theirs in results.scores.items()
                if other._replace(strategy="") == cell._replace(strategy="")
                and module_of(theirs) == SINGLE
                and options_of(theirs)["take"] == "each"
                and asked_of(theirs) == asked_of(scores)
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
