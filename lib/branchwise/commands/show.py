"""`branchwise show`: an experiment's tables and where its files lie, or a cell's answers."""

import shlex
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.config import Experiment
from branchwise.errors import UserError

_MOST_ANSWERS = 20


class Order(StrEnum):
    """In which order answers are listed: as their groups come, or by the primary metric."""

    order = "order"
    worst = "worst"
    best = "best"


@command("show")
def show(
    cell: Annotated[
        str | None,
        typer.Argument(
            help="Show answers of this cell instead: dataset/model/strategy/decoder, or its folder."
        ),
    ] = None,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="Only answers whose primary metric is below 1.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help=f"At most so many answers; default: {_MOST_ANSWERS}.")
    ] = None,
    sort: Annotated[
        Order | None, typer.Option(help="Answers as they come (default), the worst, or the best first.")
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="All that the model said, where that is more than the answer.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="Under the tables the worst and the best groups' answers.")
    ] = False,
    table: Annotated[
        list[str], typer.Option(help="A table by its name; default: accuracy and differences.")
    ] = [],  # noqa: B006 (typer copies it)
    notes: Annotated[bool, typer.Option(help="What stands under the tables.")] = True,
    cells: Annotated[
        Path | None, typer.Option(help="Folder that holds the cells' scores; default: the config's.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Print an experiment's tables, and where tables, figures, report and the tidy file lie.

    With CELL print that cell's answers beside question and gold. In a pipe an answer is a line, its
    fields between tabs: group, question's id, question, golds, answer, primary metric, rule of reading,
    and the reply where it says more than the answer.
    """
    experiment = experiment_from(config, setting)
    folder = cells or Path(experiment.cells_folder)
    if cell is None:
        given = {"--wrong": wrong, "--limit": limit, "--sort": sort, "--raw": raw}
        _refuse(given, "needs a cell", f"for example {experiment.cells[0]}")
        words = [word for path in config for word in ("--config", str(path))]
        words += [word for one in setting for word in ("--set", one)]
        words += ["--cells", str(cells)] if cells else []
        _show_experiment(experiment, folder, table, notes, shlex.join(words) if answers else None)
        return
    _refuse({"--answers": answers, "--table": table}, "is about an experiment", "leave out the cell")
    _show_cell(experiment, folder, cell, wrong, limit or _MOST_ANSWERS, sort or Order.order, raw)


def _refuse(options: Mapping[str, object], problem: str, remedy: str) -> None:
    """Raises UserError for the first option that was given."""
    for name, value in options.items():
        if value:
            raise UserError(f"{name} {problem}", remedy)


def _show_experiment(
    experiment: Experiment, folder: Path, names: list[str], notes: bool, words: str | None
) -> None:
    """Tables and places; with `words` (the config on a command line) the worst and best groups too."""
    from branchwise.config.mistakes import nearest
    from branchwise.reporting import tables_of
    from branchwise.reporting.answer_tables import show_answers_of
    from branchwise.reporting.frames import load_results
    from branchwise.reporting.shown import SHOWN, places
    from branchwise.reporting.shown import show as show_tables

    for name in names:
        if name not in tables_of(experiment):
            raise UserError(f"unknown table {name}", nearest(name, list(tables_of(experiment))))
    results = load_results(experiment, folder)
    for line in results.of_other_code:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"warning: {line}", markup=False)
    console = Console(highlight=False)
    show_tables(results, console, tuple(names) or SHOWN, notes)
    if words is not None:
        show_answers_of(results, console, words)
    for what, path in places(experiment):
        console.print(Text(f"{what:<12}{path}"), soft_wrap=True)


def _show_cell(
    experiment: Experiment, folder: Path, given: str, wrong: bool, limit: int, order: Order, raw: bool
) -> None:
    from branchwise.reporting.answer_tables import lines, show_answers, summary
    from branchwise.reporting.answers import answers_of, listed
    from branchwise.reporting.finding import scores_of

    file, scores = scores_of(experiment, given, folder)
    groups = answers_of(file, scores)
    name = "/".join(scores.cell.values())
    if groups is None:
        raise UserError(
            f"the answers of {name} are not kept beside its scores in {file.parent.parent}",
            "run `snakemake` without cached to make them",
        )
    worst_first = None if order is Order.order else order is Order.worst
    answers = listed(groups, wrong, worst_first)
    shown, console = answers[:limit], Console(highlight=False)
    # A pipe gets answers alone.
    about = console if console.is_terminal else Console(stderr=True, highlight=False)
    about.print(Text(f"{name}: {summary(scores, groups)}"), soft_wrap=not console.is_terminal)
    if console.is_terminal:
        if shown:
            show_answers(shown, scores.primary, console, raw)
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines(shown, raw))
    if len(shown) < len(answers):
        rest = f"{len(shown)} of {len(answers)} shown; --limit {len(answers)} shows all of them"
        about.print(Text(rest), soft_wrap=True)
