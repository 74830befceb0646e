"""`branchwise paraphrase`: other wordings of every question, made once for all that ask them."""

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
from branchwise.commands.staging import asker_for, checked_settings, run_stage, source_of


@command("paraphrase")
def paraphrase(
    paraphrases: Annotated[str, typer.Option(help="Name in the catalogue of paraphrases.")],
    dataset: DatasetOption,
    model: Annotated[str, typer.Option(help="Name in the catalogue of models: the answerer.")],
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="File of paraphrases to write (JSON lines).")],
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Have a model say every question in other words, and keep those that ask the same.

    A paraphraser (`roles.paraphraser` of the experiment) takes the model's place. Many groups are asked
    at once; a stage that was stopped goes on.
    """
    from branchwise.config.stages import Needed
    from branchwise.data.groups_file import read_groups
    from branchwise.files import value_hash

    experiment = computing_experiment(config, setting)
    entry = named(experiment, "paraphrases", paraphrases)
    language = named(experiment, "dataset", dataset).language
    named(experiment, "model", model)
    needed = Needed("paraphrases", paraphrases)
    wanted = checked_settings(experiment, needed, dataset, model, settings)
    asked = read_groups(groups, value_hash(wanted["groups"]))

    from branchwise.cells.paraphrasing import paraphrasing
    from branchwise.cells.staging import find_at_once
    from branchwise.stages import GroupParaphrases

    source = source_of(experiment, needed, model)
    asker = asker_for(experiment, needed, dataset, model, source)
    finder = paraphrasing(paraphrases, entry, asker, language)
    most = experiment.groups_in_flight
    run_stage(
        GroupParaphrases,
        lambda kept, progress: find_at_once(asked, finder, kept, progress, most),
        *(needed, experiment, dataset, wanted, model, source, out),
    )
