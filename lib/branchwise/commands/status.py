"""`branchwise status`: which cells are done, running, failed, missing or stale, and what comes before."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.status.standing import State

if TYPE_CHECKING:
    from branchwise.status.report import Report
    from branchwise.status.standing import Row

_STYLES = {"running": "cyan", "partly": "yellow", "failed": "bold red", "stale": "magenta"}


@command("status")
def status(
    only: Annotated[
        list[State], typer.Option(help="Only what is in this state; may be given several times.")
    ] = [],  # noqa: B006 (typer copies it)
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    logs: Annotated[Path, typer.Option(help="Folder of the rules' logs.")] = Path("logs"),
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Say of every cell, and of what comes before and after, how far it is. Nothing is run.

    done: there, of the config's settings and of the code that is here. running: a live process holds its
    lock. partly: some groups are kept, in a journal or as shards, or answers are not
    scored yet. failed: its log ends in an
    error, which is shown. stale: there, of other settings or other code, as is said. missing: not begun.
    Of files only the beginnings are read.

    In a pipe a line is: stage, name, state, detail, between tabs. Exit status 0 where all cells,
    trainings and times are done, else 1; 2 where the config is wrong.
    """
    from branchwise.status.report import report_on

    report = report_on(experiment_from(config, setting), logs)
    rows = report.only(only)
    if as_json:
        print(json.dumps(report.as_json(rows), ensure_ascii=False))
    elif sys.stdout.isatty():
        _show(report, rows, bool(only))
    else:
        for row in rows:
            print(*(_flat(part) for part in row), sep="\t")
        _count(report, Console(stderr=True, highlight=False, soft_wrap=True))
    if not report.is_done:
        raise typer.Exit(1)


def _show(report: "Report", rows: "tuple[Row, ...]", chosen: bool) -> None:
    """A table of the cells, and of all else that is not done."""
    from branchwise.status.report import CELL

    console = Console(highlight=False)
    shown = [row for row in rows if row.stage == CELL or chosen or row.state is not State.done]
    table = Table(box=None)
    for column in ("stage", "name", "state", "detail"):
        table.add_column(column, overflow="fold")
    from rich.text import Text

    for row in shown:
        state = Text(row.state, style=_STYLES.get(row.state, ""))
        table.add_row(row.stage, Text(row.name), state, Text(_flat(row.detail)))
    if shown:
        console.print(table)
    _count(report, console)


def _count(report: "Report", console: Console) -> None:
    """A line a stage with its counts."""
    from branchwise.status.report import CELL, in_words

    for stage, counts in report.counts().items():
        name = "cells" if stage == CELL else stage
        console.print(f"{name:<11}{in_words(counts)}", markup=False)


def _flat(text: str) -> str:
    """A text on one line without tabs."""
    return " ".join(text.split())
