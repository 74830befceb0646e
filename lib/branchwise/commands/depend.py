"""`branchwise depend`: which question needs which, found once for all strategies that follow it."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, named, progress_bar


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
    entry = named(experiment, "dependencies", dependencies)
    found_groups = read_groups(groups)
    import torch

    from branchwise.cells.depending import Depending, find_all
    from branchwise.cells.loading import load_model, make_decoder
    from branchwise.config.entries import TreeEntry
    from branchwise.config.hashing import dependency_identity, folder_hash
    from branchwise.config.settings import as_param
    from branchwise.results import write_rows

    torch.set_num_threads(experiment.threads)
    loaded = load_model(named(experiment, "model", model))
    # A planner may be held to a form, which the tree decoder can.
    decoder = make_decoder(TreeEntry(kind="tree"), loaded)
    states = named(experiment, "dataset", dataset).source == "worlds"
    depending = Depending(dependencies, entry, loaded.chat, decoder, states)
    # Of a hub model the files that were loaded count, whatever revision the entry names.
    identity = dependency_identity(experiment, dependencies, model)
    identity |= {"model": folder_hash(loaded.folder), "device": str(loaded.model.device)}
    journal = out.with_name(f".{out.name}.journal.jsonl")
    with progress_bar(f"dependencies {dependencies} of {dataset}") as progress:
        write_rows(out, find_all(found_groups, depending, progress, journal, as_param(identity)))
    journal.unlink(missing_ok=True)
