"""`branchwise depend`: which question needs which, found once for all strategies that follow it."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    DatasetOption,
    GroupsOption,
    SetOption,
    SettingsOption,
    computing_experiment,
    named,
)
from branchwise.commands.staging import asker_for, checked_settings, run_stage, source_of, token_counter


@command("depend")
def depend(
    dependencies: Annotated[str, typer.Option(help="Name in the catalogue of dependencies.")],
    dataset: DatasetOption,
    model: Annotated[str, typer.Option(help="Name in the catalogue of models: the answerer.")],
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="File of dependencies to write (JSON lines).")],
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Find the dependencies between the questions of every group, and choose among them.

    A planner (`roles.planner` of the experiment) takes the model's place in kind llm.
    """
    from branchwise.config.stages import Needed, dependency_entry
    from branchwise.data.groups_file import read_groups
    from branchwise.files import value_hash

    experiment = computing_experiment(config, setting)
    named(experiment, "dependencies", dependencies)
    named(experiment, "dataset", dataset)
    named(experiment, "model", model)
    entry = dependency_entry(experiment, dependencies)
    needed = Needed("dependencies", dependencies)
    wanted = checked_settings(experiment, needed, dataset, model, settings)
    found_groups = read_groups(groups, value_hash(wanted["groups"]))

    from branchwise.cells.depending import (
        Depending,
        check_control,
        find_all,
        generator_of,
        states_needs,
    )
    from branchwise.dependencies.entries import LlmEntry
    from branchwise.stages import GroupDependencies

    check_control(entry, dependencies, found_groups)
    source = source_of(experiment, needed, model)
    asker = None
    if isinstance(entry, LlmEntry):
        asker = asker_for(experiment, needed, dataset, model, source)
    depending = Depending(
        dependencies,
        entry,
        generator_of(entry, asker),
        token_counter(source),
        states_needs(found_groups),
    )
    run_stage(
        GroupDependencies,
        lambda kept, progress: find_all(found_groups, depending, progress, kept),
        *(needed, experiment, dataset, wanted, model, source, out),
    )
