"""`branchwise draw`: an experiment's scores to its figures."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from


@command("draw")
def draw(
    cells: Annotated[Path, typer.Option(help="Folder that holds the cells' scores.")],
    out: Annotated[Path, typer.Option(help="Folder for the figures.")],
    times: Annotated[
        Path | None, typer.Option(help="Folder that holds the times; default: times beside --cells.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Draw the figures of an experiment: PDF, SVG and PNG. Never imports torch."""
    from branchwise.reporting import figures_of
    from branchwise.reporting.figures import write_figure
    from branchwise.reporting.frames import load_results

    experiment = experiment_from(config, setting)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    results = load_results(experiment, cells, times)
    for line in results.of_other_code:
        console.print(f"warning: {line}", markup=False)
    names = figures_of(experiment)
    for name in names:
        write_figure(name, results, out)
    console.print(f"{len(names)} figures in {out}")
