"""`branchwise prepare`: a data set entry to a file of groups."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named
from branchwise.errors import UserError


@command("prepare")
def prepare(
    dataset: Annotated[str, typer.Option(help="Name in the catalogue of data sets.")],
    out: Annotated[Path, typer.Option(help="File of groups to write (JSON lines).")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
    path: Annotated[
        str | None, typer.Option(help="Read this local file instead of the entry's source.")
    ] = None,
    on_bad_row: Annotated[
        str | None, typer.Option(help="fail or skip, instead of what the entry says.")
    ] = None,
) -> None:
    """Load a data set, check every row, and write its groups of questions."""
    from branchwise.config.load import revised
    from branchwise.data.prepare import groups_of, write_groups

    experiment = experiment_from(config, setting)
    entry = named(experiment, "dataset", dataset)
    changes = {"path": path, "on_bad_row": on_bad_row}
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes and entry.source == "worlds":
        raise UserError(f"{dataset} is made, not read", f"leave out --{next(iter(changes))}")
    entry = revised(entry, changes, f"data set {dataset}")
    console = Console(stderr=True, highlight=False)
    warnings: list[str] = []

    def warn(message: str) -> None:
        warnings.append(message)
        console.print(f"warning: {message}", markup=False)

    count = write_groups(out, groups_of(entry, warn))
    left_out = f", {len(warnings)} rows left out" if warnings else ""
    console.print(f"{count} groups written to {out}{left_out}", markup=False)
