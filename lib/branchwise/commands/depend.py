"""`branchwise depend`: which question needs which, found once for all strategies that follow it."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    SetOption,
    check_settings,
    experiment_from,
    named,
    progress_bar,
)


@command("depend")
def depend(
    dependencies: Annotated[str, typer.Option(help="Name in the catalogue of dependencies.")],
    dataset: Annotated[str, typer.Option(help="Name in the catalogue of data sets.")],
    model: Annotated[str, typer.Option(help="Name in the catalogue of models: the answerer.")],
    groups: Annotated[Path, typer.Option(help="File of groups, from `branchwise prepare`.")],
    out: Annotated[Path, typer.Option(help="File of dependencies to write (JSON lines).")],
    settings: Annotated[
        str | None, typer.Option(help="Refuse to run where the settings have not this hash.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Find the dependencies between the questions of every group, and choose among them.

    A planner (`roles.planner` of the experiment) takes the model's place in kind llm.
    """
    from branchwise.config.hashing import dependencies_code
    from branchwise.config.identity import (
        as_param,
        dependency_entry,
        dependency_model,
        dependency_settings,
    )
    from branchwise.data.groups_file import read_groups
    from branchwise.files import value_hash

    experiment = experiment_from(config, setting)
    named(experiment, "dependencies", dependencies)
    named(experiment, "dataset", dataset)
    named(experiment, "model", model)
    entry = dependency_entry(experiment, dependencies)
    wanted = dependency_settings(experiment, dependencies, dataset, model)
    check_settings(settings, wanted, f"dependencies {dependencies} of {dataset}")
    found_groups = read_groups(groups, value_hash(wanted["groups"]))
    import torch

    from branchwise.cells.depending import (
        Depending,
        check_control,
        find_all,
        generator_of,
        states_needs,
    )
    from branchwise.decoding.models.source import ModelSource
    from branchwise.results import write_rows

    check_control(entry, dependencies, found_groups)
    torch.set_num_threads(experiment.threads)
    source = ModelSource(named(experiment, "model", dependency_model(experiment, dependencies, model)))
    generate = generator_of(entry, source)
    chat = source.loaded.chat
    depending = Depending(
        dependencies, entry, generate, lambda text: len(chat.encode(text)), states_needs(found_groups)
    )
    # Of a hub model the files that were loaded count, whatever revision the entry names.
    identity = {
        "settings": wanted,
        "code": dependencies_code(experiment, dependencies),
        "files": source.files_hash,
        "device": str(source.loaded.model.device),
    }
    journal = out.with_name(f".{out.name}.journal.jsonl")
    with progress_bar(f"dependencies {dependencies} of {dataset}") as progress:
        found = find_all(found_groups, depending, progress, journal, as_param(identity))
    write_rows(out, found, {"settings": value_hash(wanted)})
    journal.unlink(missing_ok=True)
