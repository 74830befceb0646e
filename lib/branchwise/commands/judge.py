"""`branchwise judge`: an LLM's verdicts on a cell's answers."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    SetOption,
    experiment_from,
    named,
    progress_bar,
)
from branchwise.config import Experiment
from branchwise.errors import UserError
from branchwise.evaluation.entries import JudgeEntry

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
    from branchwise.config.identity import judge_settings
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
    replies = None if experiment.judge.decoder is None else _asked_by(experiment, experiment.judge)
    asked = judge_settings(experiment)
    with progress_bar(f"judging {cell}") as progress:
        record = judge_rows(rows, contexts, experiment.judge, journal, progress, replies, asked)
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


def _asked_by(experiment: Experiment, judge: JudgeEntry) -> Any:
    """What asks a judge by a decoder of the catalogue."""
    import torch

    from branchwise.cells.asker import asker_of
    from branchwise.cells.judges import replies_of
    from branchwise.decoding.models.source import ModelSource

    torch.set_num_threads(experiment.threads)
    model = named(experiment, "model", judge.model)
    decoder = named(experiment, "decoder", str(judge.decoder))
    kept = Path(experiment.replies_folder, "judge", judge.model, f"{judge.decoder}.jsonl")
    return replies_of(asker_of(ModelSource(model), decoder, kept), judge.max_tokens, judge.parallel)
