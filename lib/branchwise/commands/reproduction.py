"""`branchwise reproduction`: published numbers against what is measured here, as far as it has been."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError


@command("reproduction")
def reproduction(
    cells: Annotated[
        Path | None, typer.Option(help="Folder that holds the cells' scores; default: the config's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for reproduction.md, .tex and .csv; default: print alone.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Print the numbers that others published of an experiment's cells beside those measured here.

    Cells that have not been run are said to be: nothing has to be finished, as it has for `tabulate`.
    """
    from branchwise.config.catalogues import published_names
    from branchwise.reporting.notes import note_of
    from branchwise.reporting.reproduction import load_found
    from branchwise.reporting.reproduction import reproduction as table_of
    from branchwise.reporting.shown import show_frame
    from branchwise.reporting.tables import write_frame

    experiment = experiment_from(config, setting)
    if experiment.published is None:
        raise UserError(
            f"experiment {experiment.experiment} names no published numbers",
            f"give `published:`, one of {', '.join(published_names())}",
        )
    results, others = load_found(experiment, cells or Path(experiment.cells_folder))
    frame, note = table_of(results, others), note_of("reproduction", results)
    console = Console()
    show_frame(frame.drop(columns="difference"), console)
    console.print(Text(note, style="dim"))
    for cell, problem in others.items():
        console.print(f"left out, {cell}: {problem}", style="yellow", markup=False)
    run = len(results.scores)
    console.print(f"{run} of {len(experiment.cells)} cells have results.", markup=False)
    if out is not None:
        write_frame("reproduction", frame, note, out)
