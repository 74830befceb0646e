"""Numbers that others published, with their sources: a table apart from what is measured."""

from collections.abc import Iterator

import pandas as pd
from pydantic import Field, model_validator

from branchwise.config.catalogues import published_file
from branchwise.config.load import validated
from branchwise.records import Record
from branchwise.reporting.frames import Results
from branchwise.reporting.names import metric_name
from branchwise.reporting.numbers import with_interval


class Source(Record):
    """Where numbers stand, and what a reader must know of all of them."""

    citation: str
    address: str
    note: str | None = None


class PublishedRow(Record):
    """A method as its authors call it, with the strategy that it is here, if any. Quality by the name of
    its measure; what is not published is None. Means over answers: tokens, and `time_s` of a whole one.
    """

    method: str
    strategy: str | None = None
    quality: dict[str, float] = Field(min_length=1)
    tokens_per_s: float | None = Field(None, gt=0)
    time_s: float | None = Field(None, gt=0)
    memory_mb: float | None = Field(None, gt=0)
    tokens: float | None = Field(None, gt=0)
    failed: int | None = Field(None, ge=0, description="Answers that came to nothing.")


class PublishedTable(Record):
    """Rows of one task, model and hardware; `dataset` is what the task's data are called here."""

    source: str
    where: str
    task: str
    dataset: str | None = None
    model: str
    hardware: str
    note: str | None = None
    rows: tuple[PublishedRow, ...] = Field(min_length=1)


class Published(Record):
    """A file of published numbers (`resources/published`)."""

    title: str
    sources: dict[str, Source]
    tables: tuple[PublishedTable, ...]

    @model_validator(mode="after")
    def _sources_are_known(self) -> "Published":
        unknown = {table.source for table in self.tables} - set(self.sources)
        if unknown:
            raise ValueError(f"tables of sources that are not given: {', '.join(sorted(unknown))}")
        return self


def load_published(name: str) -> Published:
    """A file of published numbers by its name. Raises UserError for one that is not right."""
    return validated(Published, published_file(name))


_AMOUNTS = {
    "tokens_per_s": ("tok/s", 2),
    "time_s": ("s", 2),
    "memory_mb": ("memory, MB", 0),
    "tokens": ("tokens", 0),
    "failed": ("failed", 0),
}
COLUMNS = (
    *("source", "where", "task", "model", "hardware", "method", "metric", "value"),
    *(head for head, _ in _AMOUNTS.values()),
    "measured here",
)


def published(results: Results) -> pd.DataFrame:
    """What others published, a row a method and measure of quality; beside it what the experiment itself
    has of the same data set and strategy.
    """
    name = results.experiment.published
    rows = [row for table in load_published(name).tables for row in _rows(table, results)] if name else []
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(table: PublishedTable, results: Results) -> Iterator[dict[str, str]]:
    for row in table.rows:
        # What is no quality stands once, in the first row of a method.
        more = {head: _written(getattr(row, key), digits) for key, (head, digits) in _AMOUNTS.items()}
        more["measured here"] = _measured(table.dataset, row.strategy, results)
        for metric, value in row.quality.items():
            about = {key: getattr(table, key) for key in ("source", "where", "task", "model", "hardware")}
            yield {**about, "method": row.method, "metric": metric, "value": f"{value:.2f}", **more}
            more = dict.fromkeys(more, "")


def _written(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _measured(dataset: str | None, strategy: str | None, results: Results) -> str:
    """The primary metric, and the wall time of a group where it is measured, of every cell of these."""
    found = []
    for cell, scores in results.scores.items():
        metric = scores.metrics.get(scores.primary)
        if (cell.dataset, cell.strategy) != (dataset, strategy) or metric is None:
            continue
        said = f"{metric_name(scores.primary)} {with_interval(metric, 100, 1)} %"
        if wall := results.metric(cell, "wall_s"):
            said += f", {with_interval(wall, 1, 2)} s"
        where = ", ".join(results.label(axis, getattr(cell, axis)) for axis in ("model", "decoder"))
        found.append(f"{said} ({where})")
    return "; ".join(found)


def source_notes(results: Results) -> list[str]:
    """The sources of an experiment's published numbers, and what is said of single tables."""
    name = results.experiment.published
    if name is None:
        return []
    content = load_published(name)
    notes = []
    for key, source in content.sources.items():
        notes.append(f"{key}: {source.citation}, {source.address}.")
        notes += [source.note] if source.note else []
    return notes + [f"{table.where}: {table.note}." for table in content.tables if table.note]
