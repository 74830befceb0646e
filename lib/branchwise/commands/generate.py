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
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Answer all groups of a data set with one model, strategy and decoder; resumes if killed.

    Many groups are asked at once, so no times are taken here: see `branchwise time`.
    """
    experiment = experiment_from(config, setting)
    cell = cell_from(experiment, dataset, model, strategy, decoder)
    from branchwise.cells.job import CellFiles
    from branchwise.config.identity import cell_settings, check_models

    check_models(experiment, [model])
    check_settings(settings, cell_settings(experiment, cell), str(cell))
    journal = journal or out.with_name(f".{out.name}.journal.jsonl")
    files = CellFiles(groups, out, journal, dependencies, paraphrases, confidence)
    run(experiment, cell, files, strict)


def run(experiment: Experiment, cell: Cell, files: "CellFiles", strict: bool = False) -> None:
    """Run one cell, with its progress on the terminal."""
    from branchwise.cells.cell import run_cell
    from branchwise.commands.jobs import job_of

    console = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        console.print(text, markup=False)

    with progress_bar(str(cell)) as progress:
        run_cell(job_of(experiment, cell, strict), files, progress, say)
