"""`branchwise judge`: an LLM's verdicts on a cell's answers."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from, progress_bar
from branchwise.errors import UserError

NUM_TOLD = 5
"""Problems that are told one by one; judged.json holds all."""


@command("judge")
def judge(
    cell: Annotated[Path, typer.Option(help="Folder with answers.jsonl.")],
    groups: Annotated[Path, typer.Option(help="File of groups that the cell answered.")],
    out: Annotated[Path, typer.Option(help="judged.json to write.")],
    journal: Annotated[Path, typer.Option(help="Where verdicts are kept; asked once, never again.")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Ask the experiment's judge about every answer; a rerun asks only for what is missing.

    The key is read from the environment variable that the config names, and is written nowhere.
    """
    from branchwise.data.groups_file import read_groups
    from branchwise.evaluation.judging import judge_rows
    from branchwise.results import AnswerRow, only_folder, read_rows, write_json

    experiment = experiment_from(config, setting)
    if experiment.judge is None:
        raise UserError(f"experiment {experiment.experiment} has no judge", "add `judge:` to its config")
    contexts = {
        (group.id, question.id): question.context or group.context
        for group in read_groups(groups)
        for question in group
    }
    cell = only_folder(cell, "answers.jsonl")
    rows = list(read_rows(cell / "answers.jsonl", AnswerRow))
    with progress_bar(f"judging {cell}") as progress:
        record = judge_rows(rows, contexts, experiment.judge, journal, progress)
    write_json(out, record)
    if record.num_missing:
        common = Counter(record.problems).most_common()
        problems = ", ".join(f"{what} ({count})" for what, count in common[:NUM_TOLD])
        if len(common) > NUM_TOLD:
            problems += f", and {len(common) - NUM_TOLD} others"
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"warning: {record.num_missing} of {len(rows)} verdicts are missing: {problems}; "
            "delete judged.json and run again to ask for these only",
            markup=False,
        )
