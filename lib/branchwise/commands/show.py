"""`branchwise show`: an experiment's tables in the terminal, and where its files lie."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError


@command("show")
def show(
    table: Annotated[
        list[str], typer.Option(help="A table by its name; default: accuracy and differences.")
    ] = [],  # noqa: B006 (typer copies it)
    notes: Annotated[bool, typer.Option(help="What stands under the tables.")] = True,
    cells: Annotated[
        Path | None, typer.Option(help="Folder that holds the cells' scores; default: the config's.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Print an experiment's tables, and where tables, figures, report and the tidy file lie."""
    from branchwise.config.mistakes import nearest
    from branchwise.reporting import tables_of
    from branchwise.reporting.frames import load_results
    from branchwise.reporting.shown import SHOWN, places
    from branchwise.reporting.shown import show as show_tables

    experiment = experiment_from(config, setting)
    for name in table:
        if name not in tables_of(experiment):
            raise UserError(f"unknown table {name}", nearest(name, list(tables_of(experiment))))
    results = load_results(experiment, cells or Path(experiment.cells_folder))
    console = Console(highlight=False)
    show_tables(results, console, tuple(table) or SHOWN, notes)
    for what, path in places(experiment):
        console.print(Text(f"{what:<12}{path}"), soft_wrap=True)
