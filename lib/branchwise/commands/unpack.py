"""`branchwise unpack`: results of an archive that `branchwise pack` wrote, checked and put in place."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command


@command("unpack")
def unpack(
    file: Annotated[Path, typer.Argument(help="Archive of `branchwise pack`.")],
    into: Annotated[Path, typer.Option(help="Folder for cells, times and training.")],
    max_gib: Annotated[float, typer.Option(min=0, help="Refuse what unpacks to more.")] = 4.0,
) -> None:
    """Check an archive whole, then put its results below a folder: never over others.

    A result that is there already and is another one (of other settings, other code, another run, or
    broken) stays as it is and is named; exit status 1 then. Its config and manifest lie in
    packs/EXPERIMENT below the folder.
    """
    from branchwise.packs.manifest import CONFIG
    from branchwise.packs.placing import unpack as put

    found = put(file, into, int(max_gib * 2**30))
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    manifest = found.manifest
    for one in manifest.absent:
        console.print(f"not in the pack: {one.stage} {one.name} ({one.state})", markup=False)
    for name, why in found.left:
        console.print(f"left alone: {name}: {why}", markup=False)
    state = {True: " with changes", False: "", None: ""}[manifest.dirty]
    console.print(
        f"{len(found.placed)} results of {manifest.experiment} put in {into}, {len(found.there)} were "
        f"there already, {len(found.left)} left alone (packed {manifest.packed} by branchwise "
        f"{manifest.branchwise}, commit {manifest.commit}{state})",
        markup=False,
    )
    places = f"cells_at={into}/cells results={into}/drawn figures={into}/figures"
    console.print(
        f"draw them: snakemake figures --cores 1 --configfile {found.about / CONFIG} "
        f"--config cached=true {places}",
        markup=False,
    )
    if found.left:
        raise typer.Exit(1)
