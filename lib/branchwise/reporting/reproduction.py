"""Published numbers against those that are measured here of the same cell, with intervals.

A result is measured, or it is not: what has not been run is said to be, and nothing stands in for it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from branchwise.config import Cell, Experiment
from branchwise.errors import UserError
from branchwise.evaluation.scales import bounds_of
from branchwise.reporting.cells import NoResultError, read_scores, scores_file
from branchwise.reporting.frames import Results, one_line
from branchwise.reporting.numbers import with_interval
from branchwise.reporting.publications import Counterpart, cells_of, counterparts, load_published
from branchwise.reporting.published import as_published
from branchwise.results import Metric, Scores

NOT_RUN, OTHER, NO_METRIC = "not run", "of other code or settings", "not measured"
"""In place of a value: no result of the cell is there; one that is not what the config says; one without
the metric (answers that no judge has graded)."""

COLUMNS = (
    *("source", "where", "task", "model", "method", "measure", "published"),
    *("strategy", "decoder", "measured", "n", "difference", "inside"),
)


def reproduction(results: Results, others: Mapping[Cell, str] | None = None) -> pd.DataFrame:
    """A row a published number that is about a cell of the experiment, whether it was run or not.

    `others`: cells whose results are there and were refused. Shares in per cent.
    """
    rows = [_row(one, results, others or {}) for one in counterparts(results.experiment)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(one: Counterpart, results: Results, others: Mapping[Cell, str]) -> dict[str, str]:
    scale, digits, least = _scale(one.metric)
    row = {
        "source": one.table.source,
        "where": one.table.where,
        "task": one_line(one.table.task),
        "model": one.table.model,
        "method": one.row.method,
        "measure": one.measure,
        "published": as_published(round(scale * one.value, 6), least),
        "strategy": results.label("strategy", one.cell.strategy),
        "decoder": results.label("decoder", one.cell.decoder),
        "measured": OTHER if one.cell in others else NOT_RUN,
    }
    scores = results.scores.get(one.cell)
    if scores is None:
        return {**row, "n": "", "difference": "", "inside": ""}
    metric = scores.metrics.get(one.metric)
    if metric is None:
        return {**row, "measured": NO_METRIC, "n": "", "difference": "", "inside": ""}
    return {
        **row,
        "measured": with_interval(metric, scale, digits),
        "n": str(metric.n),
        "difference": f"{scale * (metric.value - one.value):+.{digits}f}",
        "inside": is_inside(one.value, metric),
    }


def _scale(metric: str) -> tuple[int, int, int]:
    """What a metric is multiplied by in print, its decimals, and the least of a published one: shares in
    per cent, grades, amounts.
    """
    bounds = bounds_of(metric)
    if bounds == (0.0, 1.0):
        return 100, 1, 1
    return (1, 2, 2) if bounds else (1, 1, 0)


def is_inside(published: float, metric: Metric) -> str:
    """Whether a published number lies in the interval of what is measured; "" where that has none."""
    if metric.low is None or metric.high is None:
        return ""
    return "yes" if metric.low <= published <= metric.high else "no"


def load_found(experiment: Experiment, cells: Path) -> tuple[Results, dict[Cell, str]]:
    """The scores that are there, with no times, and why others that are there were refused."""
    scores: dict[Cell, Scores] = {}
    others: dict[Cell, str] = {}
    files: dict[Cell, Path] = {}
    for cell in experiment.cells:
        try:
            file = scores_file(experiment, cell, cells)
            if file.is_file():
                scores[cell] = read_scores(experiment, cell, file)
                files[cell] = file
        except NoResultError:
            continue
        except UserError as error:
            others[cell] = error.problem
    return Results(experiment, scores, files=files), others


def pairing_notes(experiment: Experiment) -> Iterator[str]:
    """How much of a file of published numbers is about cells here, and what is said of its tables."""
    if experiment.published is None:
        return
    content = load_published(experiment.published)
    rows = [(table, row) for table in content.tables for row in table.rows]
    whole = sum(len(row.measures) for _, row in rows)
    paired = sum(
        len(row.measures.keys() & (content.metrics | table.metrics).keys())
        for table, row in rows
        if cells_of(experiment, table, row)
    )
    if whole > paired:
        yield (
            f"Of {whole} published numbers {paired} are about a cell of this experiment and a measure "
            "that is the same here; the others stand in table `published` alone."
        )
    for table in content.tables:
        if table.note and any(cells_of(experiment, table, row) for row in table.rows):
            yield f"{table.where}: {table.note}."
