"""Numbers that others published, with their sources: a table apart from what is measured."""

from collections.abc import Iterator

import pandas as pd

from branchwise.reporting.frames import Results
from branchwise.reporting.names import metric_name
from branchwise.reporting.numbers import with_interval
from branchwise.reporting.publications import PublishedRow, PublishedTable, load_published

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
    """What others published, a row a method and measure (of quality, or an amount); beside it what the
    experiment itself has of the same data set and strategy.
    """
    name = results.experiment.published
    rows = [row for table in load_published(name).tables for row in _rows(table, results)] if name else []
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(table: PublishedTable, results: Results) -> Iterator[dict[str, str]]:
    for row in table.rows:
        # What is no quality stands once, in the first row of a method.
        more = {head: _written(getattr(row, key), digits) for key, (head, digits) in _AMOUNTS.items()}
        more["measured here"] = _measured(table.dataset, row.strategy, results)
        for metric in (*row.quality, *row.amounts):
            about = {key: getattr(table, key) for key in ("source", "where", "task", "model", "hardware")}
            yield {**about, "method": row.method, "metric": metric, "value": _value(row, metric), **more}
            more = dict.fromkeys(more, "")


def as_published(value: float, least: int = 2) -> str:
    """A number with the decimals that it was published with, but no fewer than `least`."""
    digits = len(f"{value:.6f}".rstrip("0").partition(".")[2])
    return f"{value:,.{max(least, digits)}f}"


def _value(row: PublishedRow, measure: str) -> str:
    """A published number: quality with two decimals at the least, amounts as they are."""
    if measure in row.quality:
        return as_published(row.quality[measure])
    return as_published(row.amounts[measure], 0)


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
    said = ((table.where, text) for table in content.tables for text in (table.note, table.why) if text)
    return notes + list(dict.fromkeys(f"{where}: {text}." for where, text in said))
