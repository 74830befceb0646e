"""Scores of an experiment as data frames, in the order and with the labels of its config."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from branchwise.config import Cell, Experiment
from branchwise.errors import UserError
from branchwise.evaluation.statistics import mean_interval
from branchwise.reporting.cells import of_other_code, provenance, read_scores, scores_file
from branchwise.reporting.comparing import (
    Comparison,
    compare,
    compare_all,
    primary_measure,
    wall_measure,
)
from branchwise.reporting.names import family
from branchwise.reporting.times import Times, load_times
from branchwise.reporting.trainings import Training, load_trainings
from branchwise.results import Metric, Scores
from branchwise.times import GroupTime

AXES = ("dataset", "model", "strategy", "decoder")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Results:
    """All cells of an experiment with their scores, and how to name things in print.

    `files` says where the scores were read from; cells that are not in it were not read from any.
    """

    experiment: Experiment
    scores: dict[Cell, Scores]
    times: Times = field(default_factory=lambda: Times({}, {}, {}, {}))
    files: Mapping[Cell, Path] = field(default_factory=dict)
    trainings: tuple[Training, ...] = ()

    @cached_property
    def provenance(self) -> str:
        """Where cached results come from, and whether they are this code's; "" for a run's own."""
        shown = provenance(self.experiment, self.scores, self.times.records)
        return shown if self.experiment.cached else ""

    @property
    def of_other_code(self) -> list[str]:
        """A line each on cells and timing jobs that were made by other code than what is here, and are
        shown as they are: cached ones alone.
        """
        cells, jobs = of_other_code(self.experiment, self.scores, self.times.records)
        kinds: dict[str, Sequence[object]] = {"cells": cells, "timing jobs": jobs}
        return [
            f"{len(found)} {what} are shown as they were made, by other code than what is here, the "
            f"first: {found[0]}"
            for what, found in kinds.items()
            if found
        ]

    def label(self, axis: str, name: str) -> str:
        """What a reader calls an entry, on one line: its label, or its key with spaces."""
        plural = {"strategy": "strategies"}.get(axis, f"{axis}s")
        entry = getattr(self.experiment.catalogues, plural)[name]
        label = one_line(getattr(entry, "label", None) or "") or title(name)
        # Somebody's checkpoint in place of the one that the strategy is trained by here.
        given = self.experiment.checkpoints.get(name) if axis == "strategy" else None
        return f"{label} ({one_line(Path(given).name)})" if given else label

    def metrics(self) -> pd.DataFrame:
        """One row a cell and metric: axes, family, metric, value, low, high, n, groups, and the
        questions of a group.
        """
        rows = []
        for cell, scores in self.scores.items():
            size = sum(g.num_questions for g in scores.groups) / len(scores.groups)
            shared = {**cell._asdict(), "family": family(cell.dataset), "questions": size}
            for name, metric in (scores.metrics | self.timed[cell]).items():
                rows.append({**shared, "metric": name, **metric.model_dump()})
        # Where no cell has an interval (one group each) its ends would be objects.
        return pd.DataFrame(rows).astype({"low": float, "high": float})

    def metric(self, cell: Cell, name: str) -> Metric | None:
        """A metric of a cell, a measured time among them; None where there is none."""
        return self.scores[cell].metrics.get(name) or self.timed[cell].get(name)

    @cached_property
    def timed(self) -> dict[Cell, dict[str, Metric]]:
        """Of each cell the means of `seconds` over groups, with intervals, and of `tokens_per_s`, the
        tokens that a group generates by its wall time: tables ask for each often.
        """
        found = {}
        for cell, scores in self.scores.items():
            values = self.seconds(cell)
            if values:
                generated = {group.group: group.generated for group in scores.groups}
                walls = values["wall_s"].items()
                values["tokens_per_s"] = {name: generated[name] / wall_s for name, wall_s in walls}
            found[cell] = {name: metric_of_amounts(one) for name, one in values.items()}
        return found

    def seconds(self, cell: Cell) -> dict[str, dict[str, float]]:
        """Measure -> group -> seconds, of a cell that was timed: `wall_s` and `ideal_s` with what the
        stages before took, `answer_s` and `ideal_answer_s` without.
        """
        groups = self.times.by_cell.get(cell) or self._asked(cell)
        if not groups:
            return {}
        finding = {group.group: group.before_s for group in self.scores[cell].groups}
        groups = {name: one for name, one in groups.items() if name in finding}
        return {
            "wall_s": {name: one.wall_s + finding[name] for name, one in groups.items()},
            "ideal_s": {name: one.ideal_s + finding[name] for name, one in groups.items()},
            "answer_s": {name: one.wall_s for name, one in groups.items()},
            "ideal_answer_s": {name: one.ideal_s for name, one in groups.items()},
        }

    def _asked(self, cell: Cell) -> dict[str, GroupTime]:
        """The times of a served model's groups: those of the asking, which is done once."""
        scores = self.scores.get(cell)
        latencies = {group.group: group.latency_s for group in scores.groups} if scores else {}
        return {
            name: GroupTime(wall_s=latency_s, ideal_s=latency_s)
            for name, latency_s in latencies.items()
            if latency_s is not None
        }

    @cached_property
    def comparisons(self) -> dict[Cell, tuple[Comparison, Comparison | None]]:
        """Every cell against the baseline strategy's, paired over the same questions and groups: the data
        set's primary metric, and wall time in seconds per group where it was timed.
        """
        primary = primary_measure(self.scores)
        return compare_all(self.experiment, primary, wall_measure(self._walls))

    def _walls(self, cell: Cell) -> dict[str, float]:
        return self.seconds(cell).get("wall_s", {})

    @cached_property
    def again(self) -> dict[Cell, Comparison]:
        """The A/A runs: a cell's second timing less its first, in the same process and in turns."""
        found = {}
        for cell, groups in self.times.again.items():
            answering = {name: one.wall_s for name, one in self.times.by_cell[cell].items()}
            second = {name: one.wall_s for name, one in groups.items()}
            measure = wall_measure({True: second, False: answering}.__getitem__)
            if one := compare(measure, True, False):
                found[cell] = one
        return found

    @cached_property
    def between(self) -> dict[Cell, Comparison]:
        """Decoders: a cell less the same on the experiment's first decoder that runs it."""
        measure = wall_measure(
            lambda cell: {name: one.wall_s for name, one in self.times.between[cell].items()}
        )
        found = {}
        for cell in self.times.between:
            same = (cell._replace(decoder=name) for name in self.experiment.decoders)
            first = next(one for one in same if one in self.times.between)
            if cell != first and (one := compare(measure, cell, first)):
                found[cell] = one
        return found

    @property
    def all_by_em(self) -> bool:
        """Whether every data set is compared by exact match."""
        return all(scores.primary == "em" for scores in self.scores.values())

    def kinds(self) -> pd.DataFrame:
        """One row a cell, kind of question and metric."""
        rows = []
        for cell, scores in self.scores.items():
            for kind, metrics in scores.by_kind.items():
                for name, metric in metrics.items():
                    row = {**cell._asdict(), "kind": kind, "metric": name}
                    rows.append({**row, **metric.model_dump()})
        return pd.DataFrame(rows)


def metric_of_amounts(values: Mapping[str, float]) -> Metric:
    """The mean of one amount a group, with its interval."""
    value, low, high = mean_interval(list(values.values()), list(values))
    ends = (None, None) if math.isnan(low) else (low, high)
    return Metric(value=value, low=ends[0], high=ends[1], n=len(values), groups=len(values))


def one_line(text: str) -> str:
    """The text on one line: a line break or another control character would tear a table's row, and
    none of them can stand in a figure.
    """
    return _BREAKS.sub(" ", text).strip()


def title(name: str) -> str:
    """A catalogue key as words."""
    return one_line(name.replace("_", " "))


def load_results(experiment: Experiment, cells_folder: Path, times_folder: Path | None = None) -> Results:
    """Every cell's scores, and all times, which lie beside the cells where no folder is given.

    Raises UserError naming what is missing, and what has another identity than the config's.
    """
    scores, files = load_scores(experiment, cells_folder)
    times = load_times(experiment, times_folder or cells_folder.parent / "times")
    trainings = load_trainings(experiment, cells_folder.parent / "training")
    return Results(experiment, scores, times, files, trainings)


def load_scores(
    experiment: Experiment, cells_folder: Path
) -> tuple[dict[Cell, Scores], dict[Cell, Path]]:
    """Every cell's scores, and the files that they were read from. Raises as `load_results` does."""
    files = {cell: scores_file(experiment, cell, cells_folder) for cell in experiment.cells}
    missing = [cell for cell, file in files.items() if not file.exists()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} cells have no scores in {cells_folder.absolute()}, "
            f"the first: {missing[0]}",
            "run `snakemake`, or name the folder that holds them with --cells",
        )
    return {cell: read_scores(experiment, cell, file) for cell, file in files.items()}, files


def ordered(frame: pd.DataFrame, experiment: Experiment, axes: Sequence[str] = AXES) -> pd.DataFrame:
    """The frame with its axes as categories in the order of the config."""
    frame = frame.copy()
    for axis in axes:
        plural = {"strategy": "strategies"}.get(axis, f"{axis}s")
        frame[axis] = pd.Categorical(frame[axis], categories=getattr(experiment, plural))
    return frame.sort_values(list(axes), kind="stable")
