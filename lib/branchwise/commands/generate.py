"""`branchwise generate`: one cell, from groups to answers.jsonl, trace.jsonl and run.json."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfidenceOption,
    ConfigOption,
    DatasetOption,
    DecoderOption,
    DependenciesOption,
    GroupsOption,
    JournalOption,
    ModelOption,
    ParaphrasesOption,
    SetOption,
    SettingsOption,
    StrategyOption,
    cell_from,
    check_settings,
    computing_experiment,
    experiment_from,
    progress_bar,
)
from branchwise.config import Cell, Experiment
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.cells.job import CellFiles


@command("generate")
def generate(
    dataset: DatasetOption,
    model: ModelOption,
    strategy: StrategyOption,
    decoder: DecoderOption,
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="Folder for answers.jsonl, trace.jsonl and run.json.")],
    journal: JournalOption = None,
    dependencies: DependenciesOption = None,
    paraphrases: ParaphrasesOption = None,
    confidence: ConfidenceOption = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at a group that does not fit instead of leaving it out."),
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(help="Answer a part of the groups, as 2/4; --out is then a folder for `merge`."),
    ] = None,
    ready: Annotated[
        Path | None,
        typer.Option(help="Folder in which another job may have left the cell answered (`together`)."),
    ] = None,
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Answer all groups of a data set with one model, strategy and decoder; resumes if killed.

    Many groups are asked at once, so no times are taken here: see `branchwise time`.
    """
    experiment = computing_experiment(config, setting)
    cell = cell_from(experiment, dataset, model, strategy, decoder)
    from branchwise.cells.job import CellFiles
    from branchwise.config.identity import cell_settings, check_models

    check_models(experiment, [model])
    check_settings(settings, cell_settings(experiment, cell), str(cell))
    journal = journal or out.with_name(f".{out.name}.journal.jsonl")
    files = CellFiles(groups, out, journal, dependencies, paraphrases, confidence, ready)
    if not _was_ready(experiment, cell, files):
        run(experiment, cell, files, strict, shard)


def _was_ready(experiment: Experiment, cell: Cell, files: "CellFiles") -> bool:
    """Whether another job has answered the cell: then it is made without torch, which takes seconds."""
    from branchwise.cells.sharding import is_ready, take_ready
    from branchwise.commands.jobs import job_of
    from branchwise.locks import alone

    if not is_ready(files):
        return False
    with alone(files.journal.with_suffix(".lock"), print_error):
        return take_ready(job_of(experiment, cell), files, print_error)


@command("merge")
def merge(
    parts: Annotated[
        list[Path], typer.Argument(help="Folders that `generate --shard` wrote, all of them.")
    ],
    dataset: DatasetOption,
    model: ModelOption,
    strategy: StrategyOption,
    decoder: DecoderOption,
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="Folder for answers.jsonl, trace.jsonl and run.json.")],
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Make a cell of its shards: what `generate` would have made in one job, up to times."""
    experiment = experiment_from(config, setting)
    cell = cell_from(experiment, dataset, model, strategy, decoder)
    from branchwise.cells.job import CellFiles
    from branchwise.cells.sharding import merge_shards
    from branchwise.commands.jobs import job_of
    from branchwise.config.identity import cell_settings

    check_settings(settings, cell_settings(experiment, cell), str(cell))
    # Nothing is asked, so nothing goes to the journal.
    files = CellFiles(groups, out, out.with_name(f".{out.name}.journal.jsonl"))
    merge_shards(job_of(experiment, cell), files, parts, print_error)


def print_error(text: str) -> None:
    """A line on standard error."""
    Console(stderr=True, highlight=False).print(text, markup=False)


def run(
    experiment: Experiment,
    cell: Cell,
    files: "CellFiles",
    strict: bool = False,
    shard: str | None = None,
) -> None:
    """Run one cell, or a shard of it ("2/4"), with its progress on the terminal; cells that are answered
    `together` with it before that, so that what is done of them is kept whatever becomes of this job.
    """
    from branchwise.cells.cell import run_cell
    from branchwise.cells.making import Workshop
    from branchwise.commands.jobs import job_of
    from branchwise.commands.together import others

    workshop = Workshop()
    for other, its_files in others(experiment, cell) if files.ready and not shard else ():
        with progress_bar(f"{other}, for its job") as progress:
            try:
                job = job_of(experiment, other, strict, "1/1")
                run_cell(job, its_files, progress, print_error, workshop.fresh())
            except UserError as error:
                print_error(f"{other} is left to its own job: {error}")
    label = f"{cell} {shard}" if shard else str(cell)
    with progress_bar(label) as progress:
        job = job_of(experiment, cell, strict, shard)
        run_cell(job, files, progress, print_error, workshop.fresh())
