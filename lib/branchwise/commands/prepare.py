"""`branchwise prepare`: a data set entry to a file of groups."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    DatasetOption,
    SetOption,
    SettingsOption,
    check_settings,
    experiment_from,
    named,
    progress_count,
)
from branchwise.errors import UserError


@command("prepare")
def prepare(
    dataset: DatasetOption,
    out: Annotated[Path, typer.Option(help="File of groups to write (JSON lines).")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
    settings: SettingsOption = None,
    path: Annotated[
        str | None, typer.Option(help="Read this local file instead of the entry's source.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail at the first bad row instead of leaving it out.")
    ] = False,
) -> None:
    """Load a data set, check every row, and write its groups of questions.

    Bad rows are left out, each with a warning; their number and the first of them stand in the file,
    and in every run.json that is made of it. A file that cannot be read to its end is an error.
    """
    from branchwise.commands.prompting import style_of
    from branchwise.config.load import revised
    from branchwise.config.parts import entry_settings, groups_settings
    from branchwise.data.groups_file import read_groups
    from branchwise.data.prepare import prepare_groups
    from branchwise.decoding.models.fitting import length_warnings
    from branchwise.files import value_hash

    experiment = experiment_from(config, setting)
    entry = named(experiment, "dataset", dataset)
    check_settings(settings, groups_settings(experiment, dataset), f"data set {dataset}")
    changes = {"path": path, "on_bad_row": "fail" if strict else None}
    changes = {key: value for key, value in changes.items() if value is not None}
    if changes and entry.source == "worlds":
        option = "--path" if path else "--strict"
        raise UserError(f"{dataset} is made, not read", f"leave out {option}")
    entry = revised(entry, changes, f"data set {dataset}")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    # Places that warnings and errors name are lines or rows of it.
    file = getattr(entry, "path", None)

    def warn(message: str) -> None:
        console.print(f"warning: {f'{file}: ' if file else ''}{message}", markup=False)

    embed = None
    if getattr(entry, "grouping", None) == "similarity":
        from branchwise.encoders.sentences import sentence_embedder

        embed = sentence_embedder(entry.encoder)
    with progress_count(f"reading {dataset}") as progress:
        try:
            made = prepare_groups(entry, out, warn, progress, embed, value_hash(entry_settings(entry)))
        except UserError as error:
            if not file or str(file) in error.problem:
                raise
            raise UserError(f"{file}: {error.problem}", error.remedy) from None
    left_out = f", {made.rows_left_out} rows left out" if made.rows_left_out else ""
    small = made.groups_left_out
    left_out += f", {small} passages or groups with too few questions left out" if small else ""
    left_out += f", {made.num_notes} questions changed" if made.num_notes else ""
    outside = made.gold_outside_context
    note = f", {outside} questions whose answer is not in their text" if outside else ""
    console.print(
        f"{made.num_groups} groups of {made.num_questions} questions written to {out}{left_out}{note}",
        markup=False,
    )
    models = {name: experiment.catalogues.models[name] for name in experiment.models}
    asked = {name: (model, style_of(experiment, entry, model)) for name, model in models.items()}
    for message in length_warnings(read_groups(out), asked, experiment.max_new_tokens):
        warn(message)
