"""Files of numbers that others published (`resources/published`), and which cells here they are about.

Imports no pandas: the workflow's plan asks whether any of them is about a cell.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pydantic import Field, model_validator

from branchwise.config.catalogues import published_file
from branchwise.config.load import validated
from branchwise.config.types import Cell, Experiment
from branchwise.records import Record

TOKENS = "tokens"
"""What `metrics` calls the tokens of a row."""


class Source(Record):
    """Where numbers stand, and what a reader must know of all of them."""

    citation: str
    address: str
    note: str | None = None


class PublishedRow(Record):
    """A method as its authors call it, with the strategy that it is here, if any. Quality by the name of
    its measure, amounts (tokens) of a whole group of questions by theirs; what is not published is None.
    Means over answers: tokens, and `time_s` of a whole one.
    """

    method: str
    strategy: str | None = None
    quality: dict[str, float] = Field(min_length=1)
    amounts: dict[str, float] = {}
    tokens_per_s: float | None = Field(None, gt=0)
    time_s: float | None = Field(None, gt=0)
    memory_mb: float | None = Field(None, gt=0)
    tokens: float | None = Field(None, gt=0)
    failed: int | None = Field(None, ge=0, description="Answers that came to nothing.")

    @property
    def measures(self) -> dict[str, float]:
        """All that may have a counterpart here, by the names that `metrics` uses."""
        more = {} if self.tokens is None else {TOKENS: self.tokens}
        return {**self.quality, **self.amounts, **more}


class PublishedTable(Record):
    """Rows of one task, model and hardware. What they are called here: `dataset`, `entry` (of the model),
    `decoder` (any, where none is named), and `metrics`, by the measure; a measure without one is measured
    otherwise here, or not. `why`: why a table has no counterpart.
    """

    source: str
    where: str
    task: str
    dataset: str | None = None
    model: str
    entry: str | None = None
    decoder: str | None = None
    metrics: dict[str, str] = {}
    hardware: str
    note: str | None = None
    why: str | None = None
    rows: tuple[PublishedRow, ...] = Field(min_length=1)


class Published(Record):
    """A file of published numbers; `metrics` of all of its tables."""

    title: str
    sources: dict[str, Source]
    metrics: dict[str, str] = {}
    tables: tuple[PublishedTable, ...]

    @model_validator(mode="after")
    def _sources_are_known(self) -> "Published":
        unknown = {table.source for table in self.tables} - set(self.sources)
        if unknown:
            raise ValueError(f"tables of sources that are not given: {', '.join(sorted(unknown))}")
        return self


class Counterpart(NamedTuple):
    """A published number, and the cell and metric here that it is about."""

    table: PublishedTable
    row: PublishedRow
    measure: str
    value: float
    cell: Cell
    metric: str


def load_published(name: str) -> Published:
    """A file of published numbers by its name. Raises UserError for one that is not right."""
    return validated(Published, published_file(name))


def cells_of(experiment: Experiment, table: PublishedTable, row: PublishedRow) -> list[Cell]:
    """The cells of an experiment that a published row is about: of its data set, model and strategy."""
    wanted = (table.dataset, table.entry, row.strategy)
    return [
        cell
        for cell in experiment.cells
        if (cell.dataset, cell.model, cell.strategy) == wanted and table.decoder in (None, cell.decoder)
    ]


def counterparts(experiment: Experiment) -> Iterator[Counterpart]:
    """Every published number that is about a cell of an experiment, in the order of its file."""
    if experiment.published is None:
        return
    content = load_published(experiment.published)
    for table in content.tables:
        metrics = content.metrics | table.metrics
        for row in table.rows:
            for cell in cells_of(experiment, table, row):
                for measure, value in row.measures.items():
                    if measure in metrics:
                        yield Counterpart(table, row, measure, value, cell, metrics[measure])
