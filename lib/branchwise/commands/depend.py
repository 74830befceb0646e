"""`branchwise depend`: which question needs which, found once for all strategies that follow it."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named, progress_bar
from branchwise.errors import UserError


@command("depend")
def depend(
    dependencies: Annotated[str, typer.Option(help="Name in the catalogue of dependencies.")],
    dataset: Annotated[str, typer.Option(help="Name in the catalogue of data sets.")],
    model: Annotated[str, typer.Option(help="Name in the catalogue of models.")],
    groups: Annotated[Path, typer.Option(help="File of groups, from `branchwise prepare`.")],
    out: Annotated[Path, typer.Option(help="File of dependencies to write (JSON lines).")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Find the dependencies between the questions of every group, and choose among them."""
    from branchwise.data.prepare import read_groups

    experiment = experiment_from(config, setting)
    known = experiment.catalogues.dependencies
    if dependencies not in known:
        from branchwise.config.load import nearest

        raise UserError(f"unknown dependencies {dependencies}", nearest(dependencies, list(known)))
    found_groups = read_groups(groups)
    import torch

    from branchwise.cells.depending import Depending, find_all
    from branchwise.cells.loading import load_model, make_decoder
    from branchwise.config.entries import TreeEntry
    from branchwise.config.hashing import dependencies_hash, folder_hash
    from branchwise.config.settings import as_param
    from branchwise.results import write_rows

    torch.set_num_threads(experiment.threads)
    loaded = load_model(named(experiment, "model", model))
    # A planner may be held to a form, which the tree decoder can.
    decoder = make_decoder(TreeEntry(kind="tree", kernel="dense"), loaded)
    states = named(experiment, "dataset", dataset).source == "worlds"
    depending = Depending(dependencies, known[dependencies], loaded.chat, decoder, states)
    identity = as_param(
        {
            "entry": known[dependencies].model_dump(mode="json", by_alias=True),
            "code": dependencies_hash(experiment, dependencies),
            "model": folder_hash(loaded.folder),
            "device": str(loaded.model.device),
        }
    )
    journal = out.with_name(f".{out.name}.journal.jsonl")
    with progress_bar(f"dependencies {dependencies} of {dataset}") as progress:
        write_rows(out, find_all(found_groups, depending, progress, journal, identity))
    journal.unlink(missing_ok=True)
