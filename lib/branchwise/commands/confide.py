"""`branchwise confide`: how sure a model is of its answer to each wording of every question."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    DatasetOption,
    GroupsOption,
    ModelOption,
    SetOption,
    SettingsOption,
    computing_experiment,
    named,
)
from branchwise.commands.staging import asker_for, checked_settings, files_by_key, run_stage, source_of


@command("confide")
def confide(
    confidence: Annotated[str, typer.Option(help="Name in the catalogue of confidence.")],
    dataset: DatasetOption,
    model: ModelOption,
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="File of confidences to write (JSON lines).")],
    paraphrases: Annotated[
        str | None,
        typer.Option(help="NAME=FILE of `branchwise paraphrase`; default: those that the data give."),
    ] = None,
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Ask every wording once for the likeliest answer and many times sampled: how often they agree.

    Questions are put as the experiment's prompt style says, with its shots. Many groups are asked at
    once; a stage that was stopped goes on.
    """
    from branchwise.commands.prompting import style_of
    from branchwise.config.stages import Needed
    from branchwise.data.groups_file import read_groups
    from branchwise.data.shots import check_no_leak
    from branchwise.files import value_hash

    experiment = computing_experiment(config, setting)
    entry = named(experiment, "confidence", confidence)
    dataset_entry, model_entry = named(experiment, "dataset", dataset), named(experiment, "model", model)
    given = files_by_key("paraphrases", [paraphrases] if paraphrases else [])
    name = next(iter(given), None)
    if name is not None:
        named(experiment, "paraphrases", name)
    needed = Needed("confidence", confidence, name)
    wanted = checked_settings(experiment, needed, dataset, model, settings)
    asked = read_groups(groups, value_hash(wanted["groups"]))
    style = style_of(experiment, dataset_entry, model_entry)
    check_no_leak(style.shots, asked)

    from branchwise.cells.confiding import confiding
    from branchwise.cells.found import read_found, row_of, with_found
    from branchwise.cells.staging import find_at_once
    from branchwise.stages import GroupConfidence, GroupParaphrases

    for name, file in given.items():
        rows = read_found(file, GroupParaphrases, name, value_hash(wanted["paraphrases"]))
        asked = [with_found(group, (row_of(group, rows, GroupParaphrases),)) for group in asked]
    source = source_of(experiment, needed, model)
    asker = asker_for(experiment, needed, dataset, model, source)
    finder = confiding(confidence, entry, asker, style, dataset_entry.language)
    most = experiment.groups_in_flight
    run_stage(
        GroupConfidence,
        lambda kept, progress: find_at_once(asked, finder, kept, progress, most),
        *(needed, experiment, dataset, wanted, model, source, out),
    )
