"""`branchwise evaluate cell`: a cell's answers to scores.json; `... rows`: any answers, by hand."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from branchwise.commands.lines import lines_of
from branchwise.commands.main import app, command
from branchwise.commands.options import ConfigOption, SetOption, check_settings, experiment_from, named
from branchwise.errors import UserError

evaluation = typer.Typer(help="Score answers: of a cell, or of any file.", no_args_is_help=True)
app.add_typer(evaluation, name="evaluate")


@command("cell", evaluation)
def cell(
    folder: Annotated[Path, typer.Option("--cell", help="Folder with answers.jsonl and run.json.")],
    out: Annotated[Path, typer.Option(help="scores.json to write.")],
    judged: Annotated[Path | None, typer.Option(help="judged.json, where a judge was asked.")] = None,
    settings: Annotated[
        str | None, typer.Option(help="Refuse to score where the settings have not this hash.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Score the answers of one cell, with intervals over groups."""
    from branchwise.config.identity import scoring_identity
    from branchwise.evaluation.judge import JudgeRecord
    from branchwise.evaluation.score import score_cell
    from branchwise.results import (
        AnswerRow,
        RunRecord,
        only_folder,
        read_json,
        read_rows,
        write_json,
    )

    experiment = experiment_from(config, setting)
    folder = only_folder(folder, "run.json")
    run = read_json(folder / "run.json", RunRecord)
    rows = list(read_rows(folder / "answers.jsonl", AnswerRow, run.identity.about(run.cell)))
    dataset = run.cell["dataset"]
    named(experiment, "dataset", dataset)
    scoring = scoring_identity(experiment, dataset)
    check_settings(settings, scoring.settings, f"the scoring of {dataset}")
    verdicts = read_json(judged, JudgeRecord) if judged else None
    write_json(out, score_cell(rows, run, scoring, verdicts))


@command("rows", evaluation)
def rows(
    file: Annotated[Path, typer.Argument(help="JSON lines of {prediction, golds}; - for stdin.")],
    metric: Annotated[str, typer.Option(help="Whose definitions: squad, hotpotqa, drop, ...")],
    language: Annotated[
        str | None,
        typer.Option(help="Of the texts: zh, th, ru, ...; default: the metric's own, else en."),
    ] = None,
) -> None:
    """Score rows of {"prediction": ..., "golds": [...]}: one JSON object a row on stdout.

    The numbers are those of the official scorers, an empty prediction included. SQuAD 2.0 takes an
    empty list of golds where the question has no answer. DROP takes a list of
    spans as a prediction, and as each gold a phrase, a list of spans, or the authors' object of
    number, date and spans; `gold` instead of `golds` gives the spans of the one accepted answer.
    Metric edges takes lists of [needed, needing] pairs.
    """
    from branchwise.data.languages import language_of
    from branchwise.evaluation.rows import ROW_METRICS, score_row

    if metric not in ROW_METRICS:
        from branchwise.config.mistakes import nearest

        raise UserError(f"unknown metric {metric}", nearest(metric, list(ROW_METRICS)))
    try:
        code = language_of(metric, language)
    except ValueError as error:
        raise UserError(str(error), "give another --language, or another --metric") from None
    for number, row in _read(file):
        try:
            print(json.dumps(score_row(row, metric, code), ensure_ascii=False))
        except ValueError as error:
            raise UserError(f"{file}, row {number}: {error}", "mend the row") from None


def _read(file: Path) -> Iterator[tuple[int, Any]]:
    """The rows with their numbers. Raises UserError for one that is not JSON."""
    for number, line in lines_of(file):
        try:
            yield number, json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise UserError(f"{file}, row {number} is not JSON: {error}", "mend the row") from None
