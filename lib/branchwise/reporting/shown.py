"""An experiment's tables in a terminal, narrow enough to read at 80 columns, and where its files lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from branchwise.config import Experiment
from branchwise.config.catalogues import AXES
from branchwise.reporting.answer_page import NAME as PAGE
from branchwise.reporting.frames import Results
from branchwise.reporting.notes import note_of
from branchwise.reporting.tables import MAKERS
from branchwise.reporting.tidy import NAME
from branchwise.terminal import empty_table

SHOWN = ("accuracy", "differences")
KEYS = ("dataset", "metric", "measure", "decoder", "model")
"""Columns that many rows share: they stand above a block of rows, not in each."""
_WORDS = "state", "by"
"""Columns of a table of cells that hold words."""
_FOLDED = 10
"""Letters that names keep on a line."""

_NARROW = {
    "strategy": "strategy",
    "task": "task",
    "method": "method",
    "groups": "grp",
    "questions": "qst",
    "value": "value",
    "published": "published",
    "measured": "measured",
    "n": "n",
    "inside": "inside",
    "tok/s": "tok/s",
    "s": "s",
    "EM": "EM",
    "F1": "F1",
    "well-formed": "formed",
    "difference": "difference",
    "p": "p",
    "wall difference, ms": "wall, ms",
    "p (wall)": "p",
}


def show(results: Results, console: Console, names: tuple[str, ...] = SHOWN, notes: bool = True) -> None:
    """Print tables, each data set a block, with what stands under them."""
    for name in names:
        frame = MAKERS[name](results)
        console.print(Text(name, style="bold"))
        if frame.empty:
            console.print("  nothing to compare")
        show_frame(frame, console)
        if notes:
            console.print(Text(note_of(name, results), style="dim"))
        console.print()


def show_frame(frame: pd.DataFrame, console: Console) -> None:
    """Print a table that is made, a block for what many of its rows share."""
    for heading, block in _blocks(frame, KEYS):
        console.print(_table(heading, block))


def show_cells(frame: pd.DataFrame, console: Console) -> None:
    """Print a table of cells, a row each, a block for each data set and model. Names are folded where
    there is no room for them, numbers never: what cannot be narrower is wider than the terminal.
    """
    for heading, block in _blocks(frame, ("dataset", "model")):
        table = empty_table(heading)
        for name, cells in block.astype(str).items():
            longest = max(map(len, (str(name), *cells)))
            if name in AXES or name in _WORDS:
                table.add_column(str(name), overflow="fold", min_width=min(longest, _FOLDED))
            else:
                table.add_column(str(name), justify="right", min_width=longest)
        _fill(table, block)
        width = max(console.width, console.measure(table).minimum)
        console.print(table, width=width, crop=False)


def _blocks(frame: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows that have the same in these columns, as far as there are such, under what that is."""
    keys = [key for key in columns if key in frame]
    if not keys:
        yield "", frame
        return
    for names, block in frame.groupby(keys, sort=False, observed=True):
        yield ", ".join(str(name) for name in names), block.drop(columns=keys)


def _table(heading: str, block: pd.DataFrame) -> Table:
    table = empty_table(heading)
    columns = [name for name in block if name in _NARROW]
    for name in columns:
        table.add_column(
            _NARROW[name], justify="left" if name == "strategy" else "right", overflow="fold"
        )
    _fill(table, block[columns])
    return table


def _fill(table: Table, block: pd.DataFrame) -> None:
    for row in block.astype(str).itertuples(index=False):
        table.add_row(*map(Text, row))


def places(experiment: Experiment) -> list[tuple[str, Path]]:
    """Where an experiment's files lie, by what they are; those that are there."""
    tables = Path(experiment.results) / "tables" / experiment.experiment
    listed = [
        ("tables", tables),
        ("for pandas", tables / NAME),
        ("answers", tables / PAGE),
        ("figures", Path(experiment.figures) / experiment.experiment),
        ("report", Path(experiment.results) / f"reports/{experiment.experiment}.html"),
        ("cells", Path(experiment.cells_folder)),
    ]
    return [(what, path) for what, path in listed if path.exists()]
