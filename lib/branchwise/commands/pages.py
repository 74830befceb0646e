"""`branchwise pages`: a cell's groups as HTML pages with an index."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.errors import UserError


@command("pages")
def pages(
    cell: Annotated[Path, typer.Option(help="Folder with answers.jsonl and run.json.")],
    groups: Annotated[Path, typer.Option(help="File of groups that the cell answered.")],
    out: Annotated[Path, typer.Option(help="Folder for the pages.")],
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first groups.")] = None,
) -> None:
    """Write an HTML page for every group of a cell: graph, timeline, prompts and answers.

    Each page holds all of itself and opens offline. Right and wrong are shown where scores.json is
    beside the answers.
    """
    from branchwise.data.groups_file import read_groups
    from branchwise.dependencies.graph import Edge, with_edges
    from branchwise.reporting.pages import make_page, write_pages
    from branchwise.results import (
        AnswerRow,
        GroupRecord,
        RunRecord,
        Scores,
        only_folder,
        read_json,
        read_rows,
    )
    from branchwise.trace import GroupTrace

    cell = only_folder(cell, "run.json")
    run = read_json(cell / "run.json", RunRecord)
    about = run.identity.about(run.cell)
    traces = {trace.group: trace for trace in read_rows(cell / "trace.jsonl", GroupTrace, about)}
    runs = {one.id: one for one in run.groups}
    rows: dict[str, list[AnswerRow]] = {}
    for row in read_rows(cell / "answers.jsonl", AnswerRow, about):
        rows.setdefault(row.group, []).append(row)
    scores: dict[str, dict] = {}
    if scored := next(cell.glob("*/scores.json"), None):
        for score in read_json(scored, Scores).questions:
            scores.setdefault(score.group, {})[score.question] = score
    heading = " · ".join(run.cell.values())
    made = []
    for group in read_groups(groups)[:limit]:
        answered = {row.question for row in rows.get(group.id, ())}
        known = group.id in runs and group.id in traces
        if not known or answered != {question.id for question in group}:
            raise UserError(
                f"{cell} has no answers to all of group {group.id} of {groups}",
                "give the file of groups that this cell answered",
            )
        found = runs[group.id].dependencies
        followed = found.edges if found else ()
        group = with_edges(group, [Edge(source=a, target=b) for a, b in followed])
        record = GroupRecord(answers=tuple(rows[group.id]), run=runs[group.id], trace=traces[group.id])
        made.append(make_page(group, record, scores.get(group.id), heading))
    facts = [f"{len(made)} groups; {run.hardware.get('cpu', '')}; commit {run.commit or 'unknown'}"]
    print(write_pages(made, out, heading, facts))
