"""Scores of an experiment as data frames, in the order and with the labels of its config."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from branchwise.config import Cell, Experiment
from branchwise.errors import UserError
from branchwise.evaluation.statistics import Difference, paired_difference
from branchwise.reporting.cells import provenance, read_scores, scores_file
from branchwise.reporting.names import family
from branchwise.results import Scores

AXES = ("dataset", "model", "strategy", "decoder")
_BREAKS = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


@dataclass(frozen=True)
class Results:
    """All cells of an experiment with their scores, and how to name things in print."""

    experiment: Experiment
    scores: dict[Cell, Scores]

    @cached_property
    def provenance(self) -> str:
        """Where cached results come from, and whether they are this code's; "" for a run's own."""
        return provenance(self.experiment, self.scores) if self.experiment.cached else ""

    def label(self, axis: str, name: str) -> str:
        """What a reader calls an entry, on one line: its label, or its key with spaces."""
        plural = {"strategy": "strategies"}.get(axis, f"{axis}s")
        entry = getattr(self.experiment.catalogues, plural)[name]
        return one_line(getattr(entry, "label", None) or "") or title(name)

    def metrics(self) -> pd.DataFrame:
        """One row a cell and metric: axes, family, metric, value, low, high, n, questions."""
        rows = []
        for cell, scores in self.scores.items():
            size = sum(g.num_questions for g in scores.groups) / len(scores.groups)
            shared = {**cell._asdict(), "family": family(cell.dataset), "questions": size}
            for name, metric in scores.metrics.items():
                rows.append({**shared, "metric": name, **metric.model_dump()})
        return pd.DataFrame(rows)

    @cached_property
    def comparisons(self) -> dict[Cell, tuple[Difference, Difference]]:
        """Every cell against the baseline strategy's, paired over the same questions and groups: EM,
        and wall time in seconds per group.
        """
        found = {}
        for cell in self.experiment.cells:
            base = cell._replace(strategy=self.experiment.baseline)
            if cell != base and base in self.scores:
                found[cell] = self._compare(self.scores[cell], self.scores[base])
        return found

    def _compare(self, one: Scores, other: Scores) -> tuple[Difference, Difference]:
        draws, seed = self.experiment.bootstrap_draws, self.experiment.seed
        ems = {(q.group, q.question): q.em for q in other.questions}
        em = paired_difference(
            [q.em for q in one.questions],
            [ems[q.group, q.question] for q in one.questions],
            [q.group for q in one.questions],
            draws,
            seed,
        )
        walls = {g.group: g.wall_s for g in other.groups}
        wall = paired_difference(
            [g.wall_s for g in one.groups],
            [walls[g.group] for g in one.groups],
            [g.group for g in one.groups],
            draws,
            seed,
        )
        return em, wall

    def kinds(self) -> pd.DataFrame:
        """One row a cell, kind of question and metric."""
        rows = []
        for cell, scores in self.scores.items():
            for kind, metrics in scores.by_kind.items():
                for name, metric in metrics.items():
                    row = {**cell._asdict(), "kind": kind, "metric": name}
                    rows.append({**row, **metric.model_dump()})
        return pd.DataFrame(rows)


def one_line(text: str) -> str:
    """The text on one line: a line break or another control character would tear a table's row, and
    none of them can stand in a figure.
    """
    return _BREAKS.sub(" ", text).strip()


def title(name: str) -> str:
    """A catalogue key as words."""
    return one_line(name.replace("_", " "))


def load_results(experiment: Experiment, cells_folder: Path) -> Results:
    """Read every cell's scores.json. Raises UserError naming cells that are missing, and those whose
    recorded identity is not the config's.
    """
    files = {cell: scores_file(experiment, cell, cells_folder) for cell in experiment.cells}
    missing = [cell for cell, file in files.items() if not file.exists()]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(files)} cells have no scores in {cells_folder.absolute()}, "
            f"the first: {missing[0]}",
            "run `snakemake`, or name the folder that holds them with --cells",
        )
    scores = {cell: read_scores(experiment, cell, file) for cell, file in files.items()}
    return Results(experiment, scores)


def ordered(frame: pd.DataFrame, experiment: Experiment, axes: Sequence[str] = AXES) -> pd.DataFrame:
    """The frame with its axes as categories in the order of the config."""
    frame = frame.copy()
    for axis in axes:
        plural = {"strategy": "strategies"}.get(axis, f"{axis}s")
        frame[axis] = pd.Categorical(frame[axis], categories=getattr(experiment, plural))
    return frame.sort_values(list(axes), kind="stable")
