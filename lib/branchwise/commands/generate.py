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
    files = CellFiles(groups, out, journal, dependencies, paraphrases, confidence)
    run(experiment, cell, files, strict, shard)


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
    """Run one cell, or a shard of it ("2/4"), with its progress on the terminal."""
    from branchwise.cells.cell import run_cell
    from branchwise.commands.jobs import job_of

    label = f"{cell} {shard}" if shard else str(cell)
    with progress_bar(label) as progress:
        run_cell(job_of(experiment, cell, strict, shard), files, progress, print_error)
