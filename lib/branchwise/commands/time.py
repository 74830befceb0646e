"""`branchwise time`: how long the strategies of an experiment take, interleaved in one process."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    DatasetOption,
    GroupsOption,
    JournalOption,
    ModelOption,
    SetOption,
    SettingsOption,
    check_settings,
    computing_experiment,
    named,
    progress_bar,
)
from branchwise.commands.staging import files_by_key
from branchwise.config import Cell, Experiment
from branchwise.config.stages import needed_by
from branchwise.config.timing import Contest
from branchwise.errors import UserError
from branchwise.stages import STAGES


@command("time")
def time(
    dataset: DatasetOption,
    model: ModelOption,
    groups: GroupsOption,
    out: Annotated[Path, typer.Option(help="JSON file of times to write.")],
    decoder: Annotated[
        str | None,
        typer.Option(
            help="Name in the catalogue of decoders; without it one strategy is timed on all decoders."
        ),
    ] = None,
    journal: JournalOption = None,
    dependencies: Annotated[
        list[str], typer.Option(help="NAME=FILE of `branchwise depend`, for each that is followed.")
    ] = [],  # noqa: B006 (typer copies it)
    paraphrases: Annotated[
        list[str], typer.Option(help="NAME=FILE of `branchwise paraphrase`, for each that is asked.")
    ] = [],  # noqa: B006
    confidence: Annotated[
        list[str],
        typer.Option(
            help="NAME=FILE of `branchwise confide`, for each that is weighed by; NAME/PARAPHRASES=FILE "
            "where paraphrases are made."
        ),
    ] = [],  # noqa: B006
    settings: SettingsOption = None,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Time the strategies of an experiment on some groups of a data set, in turns, in one process.

    Run nothing else meanwhile: the load of the machine stands in every row, and a second timing job
    waits. The baseline is timed twice, as if it were two strategies.
    """
    from branchwise.config.identity import check_models
    from branchwise.config.timing import contest_of, times_settings

    experiment = computing_experiment(config, setting)
    for axis, name in (("dataset", dataset), ("model", model), ("decoder", decoder)):
        if name is not None:
            named(experiment, axis, name)
    contest = contest_of(experiment, dataset, model, decoder)
    if contest is None or not experiment.timed_groups:
        raise UserError(
            f"experiment {experiment.experiment} has nothing to time for {dataset}/{model}"
            + (f"/{decoder}" if decoder else " on more than one decoder"),
            "see `branchwise cells`, and timed_groups in the config",
        )
    check_models(experiment, [model])
    check_settings(settings, times_settings(experiment, contest), f"the times of {contest}")
    given = {"dependencies": dependencies, "paraphrases": paraphrases, "confidence": confidence}
    found = {stage: files_by_key(stage, pairs) for stage, pairs in given.items()}
    journal = journal or out.with_name(f".{out.name}.journal.jsonl")
    _run(experiment, contest, groups, found, out, journal)


def _of_stages(
    experiment: Experiment, cell: Cell, found: Mapping[str, Mapping[str, Path]]
) -> dict[str, Path]:
    """The file of each stage that a cell uses, of those found by stage and key.

    Raises UserError where one is missing.
    """
    kinds = {kind.stage: kind for kind in STAGES}
    files = {}
    for needed in needed_by(experiment, cell.strategy):
        if needed.key not in found[needed.stage]:
            kind = kinds[needed.stage]
            raise UserError(
                f"strategy {cell.strategy} {kind.verb} the {needed.stage} {needed.name}",
                f"give --{needed.stage} {needed.key}=FILE, the file of `branchwise {kind.command}`",
            )
        files[needed.stage] = found[needed.stage][needed.key]
    return files


def _run(
    experiment: Experiment,
    contest: Contest,
    groups: Path,
    found: Mapping[str, Mapping[str, Path]],
    out: Path,
    journal: Path,
) -> None:
    """Take the times, with progress on the terminal."""
    from branchwise.cells.job import CellFiles
    from branchwise.cells.timing import TimingJob, run_timing
    from branchwise.commands.jobs import job_of
    from branchwise.config.timing import times_identity

    files = tuple(
        CellFiles(groups, out.parent, journal, **_of_stages(experiment, cell, found))
        for cell in contest.cells
    )
    job = TimingJob(
        jobs=tuple(job_of(experiment, cell) for cell in contest.cells),
        files=files,
        reference=contest.reference,
        identity=times_identity(experiment, contest),
        timed_groups=experiment.timed_groups,
        repeats=experiment.repeats,
        out=out,
        journal=journal,
    )
    console = Console(stderr=True, highlight=False)
    with progress_bar(f"timing {contest}") as progress:
        run_timing(job, progress, lambda text: console.print(text, markup=False))
