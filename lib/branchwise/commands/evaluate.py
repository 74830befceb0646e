"""`branchwise evaluate`: a cell's answers to scores.json."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from


@command("evaluate")
def evaluate(
    cell: Annotated[Path, typer.Option(help="Folder with answers.jsonl and run.json.")],
    out: Annotated[Path, typer.Option(help="scores.json to write.")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Score the answers of one cell, with bootstrap intervals over groups."""
    from branchwise.evaluation.score import score_cell
    from branchwise.results import AnswerRow, RunRecord, read_json, read_rows, write_json

    experiment = experiment_from(config, setting)
    rows = list(read_rows(cell / "answers.jsonl", AnswerRow))
    run = read_json(cell / "run.json", RunRecord)
    write_json(out, score_cell(rows, run, experiment.bootstrap_draws, experiment.seed))
