"""`branchwise pages`: a cell's groups as HTML pages with an index, and the index of an experiment."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.data.types import Group
    from branchwise.reporting.pages import Page
    from branchwise.results import GroupRecord, RunRecord, Scores
    from branchwise.times import GroupTime


@command("pages")
def pages(
    cell: Annotated[Path, typer.Option(help="Folder with answers.jsonl, trace.jsonl and run.json.")],
    groups: Annotated[Path, typer.Option(help="File of groups that the cell answered.")],
    out: Annotated[Path, typer.Option(help="Folder for the pages.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first groups.")] = None,
    scores: Annotated[
        Path | None, typer.Option(help="The cell's scores.json; default: the one beside the answers.")
    ] = None,
    times: Annotated[
        Path | None, typer.Option(help="File of `branchwise time` with this cell's times.")
    ] = None,
    above: Annotated[str, typer.Option(help="Link from the index to a page above it.")] = "",
) -> None:
    """Write an HTML page for every group of a cell: graph, timeline, prompts and answers.

    Each page holds all of itself and opens offline. How good an answer is, by the data set's primary
    metric, is shown where there are scores.
    """
    from itertools import islice

    from branchwise.data.groups_file import read_groups
    from branchwise.reporting.pages import write_pages
    from branchwise.results import RunRecord, Scores, only_folder, read_json

    cell = only_folder(cell, "run.json")
    run = read_json(cell / "run.json", RunRecord)
    scores = scores or next(cell.glob("*/scores.json"), None)
    scored = read_json(scores, Scores) if scores else None
    if scored is not None and scored.cell != run.cell:
        raise UserError(f"{scores} is of cell {'/'.join(scored.cell.values())}", "give this cell's")
    records = _records(cell, run)
    alone = _times(times, run) if times else {}
    left_out = {one.group for one in run.left_out}
    heading = " · ".join(run.cell.values())
    made = []
    for group in islice(read_groups(groups), limit):
        if group.id in left_out:
            continue
        record = records.get(group.id)
        answered = {row.question for row in record.answers} if record else set()
        if record is None or answered != {question.id for question in group}:
            raise UserError(
                f"{cell} has no answers to all of group {group.id} of {groups}",
                "give the file of groups that this cell answered",
            )
        made.append(_page(group, record, scored, heading, alone.get(group.id)))
    facts = [
        f"{len(made)} of {run.num_groups} groups; {run.hardware.get('cpu', '')}; "
        f"commit {run.commit or 'unknown'}"
    ]
    print(write_pages(made, out, heading, facts, above))


def _records(cell: Path, run: "RunRecord") -> Mapping[str, "GroupRecord"]:
    """Everything that a cell's files say of its groups, by group."""
    from branchwise.results import AnswerRow, GroupRecord, read_rows
    from branchwise.trace import GroupTrace

    about = run.identity.about(run.cell)
    traces = {trace.group: trace for trace in read_rows(cell / "trace.jsonl", GroupTrace, about)}
    rows: dict[str, list[AnswerRow]] = {}
    for row in read_rows(cell / "answers.jsonl", AnswerRow, about):
        rows.setdefault(row.group, []).append(row)
    return {
        one.id: GroupRecord(answers=tuple(rows.get(one.id, ())), run=one, trace=traces[one.id])
        for one in run.groups
        if one.id in traces
    }


def _times(path: Path, run: "RunRecord") -> Mapping[str, "GroupTime"]:
    """The cell's times by group. Raises UserError for a file of another data set or model."""
    from branchwise.results import read_json
    from branchwise.times import TimesRecord, medians

    record = read_json(path, TimesRecord)
    if (record.dataset, record.model) != (run.cell["dataset"], run.cell["model"]):
        raise UserError(f"{path} is of {record.dataset}/{record.model}", "give the times of this cell's")
    return medians(record.runs).get((run.cell["strategy"], run.cell["decoder"], False), {})


def _page(
    group: "Group",
    record: "GroupRecord",
    scored: "Scores | None",
    heading: str,
    timed: "GroupTime | None",
) -> "Page":
    from branchwise.dependencies.graph import Edge, with_edges
    from branchwise.reporting.pages import make_page, times_of

    found = record.run.dependencies
    before_s = record.run.before_s
    times = times_of(timed.wall_s, timed.ideal_s, before_s, alone=True) if timed else None
    followed = found.edges if found else ()
    group = with_edges(group, [Edge(source=a, target=b) for a, b in followed])
    if scored is None:
        return make_page(group, record, heading=heading, times=times)
    scores = {score.question: score for score in scored.questions if score.group == group.id}
    return make_page(group, record, scores, heading, scored.primary, times)


@command("pages-index")
def pages_index(
    cells: Annotated[Path, typer.Option(help="Folder that holds the cells' scores.")],
    out: Annotated[Path, typer.Option(help="The file to write; pages lie in folders beside it.")],
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Write the page that links the pages of all cells of an experiment."""
    from branchwise.reporting.frames import load_scores
    from branchwise.reporting.names import metric_name
    from branchwise.reporting.pages import CellLink, write_experiment_index
    from branchwise.reporting.verdicts import verdict_of

    experiment = experiment_from(config, setting)
    links = []
    for cell, scores in load_scores(experiment, cells)[0].items():
        found = scores.metrics.get(scores.primary)
        quality = f"{metric_name(scores.primary)} {100 * found.value:.1f} %" if found else ""
        verdicts = [verdict_of(question, scores.primary) for question in scores.questions]
        known = [verdict for verdict in verdicts if verdict is not None]
        wrong = f"{sum(one.is_wrong for one in known)} of {len(known)}" if known else ""
        links.append(CellLink(tuple(cell), f"{cell.path.as_posix()}/index.html", quality, wrong))
    write_experiment_index(out, experiment.experiment, links, experiment.pages)
    print(out)
