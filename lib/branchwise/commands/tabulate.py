"""`branchwise tabulate`: an experiment's scores to its tables."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from


@command("tabulate")
def tabulate(
    cells: Annotated[Path, typer.Option(help="Folder that holds the cells' scores.")],
    out: Annotated[Path, typer.Option(help="Folder for the tables.")],
    times: Annotated[
        Path | None, typer.Option(help="Folder that holds the times; default: times beside --cells.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Write the tables of an experiment (Markdown, LaTeX and CSV); tidy.csv, a row a question of every
    cell, for pandas; and answers.html, what every strategy answered to the first groups.
    """
    from branchwise.reporting import tables_of
    from branchwise.reporting.answer_page import NAME as PAGE
    from branchwise.reporting.answer_page import write_answer_page
    from branchwise.reporting.frames import load_results
    from branchwise.reporting.tables import write_table
    from branchwise.reporting.tidy import NAME, write_tidy

    experiment = experiment_from(config, setting)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    results = load_results(experiment, cells, times)
    for line in results.of_other_code:
        console.print(f"warning: {line}", markup=False)
    names = tables_of(experiment)
    for name in names:
        write_table(name, results, out)
    write_tidy(results, out)
    write_answer_page(results, out)
    console.print(f"{len(names)} tables, {NAME} and {PAGE} in {out}")
