"""`branchwise lanes`: the branches of one answered group over time, as a figure."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    FIRST,
    ConfigOption,
    GroupOption,
    SetOption,
    experiment_from,
    no_such_group,
)
from branchwise.errors import UserError


@command("lanes")
def lanes(
    cell: Annotated[
        str, typer.Argument(help="The cell: dataset/model/strategy/decoder, or its folder of results.")
    ],
    out: Annotated[Path, typer.Option(help="Where the figure goes, without a suffix.")],
    group: GroupOption = FIRST,
    cells: Annotated[
        Path | None, typer.Option(help="Folder that holds the cells' scores; default: the config's.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Draw one group's branches as lanes over time: what was generated, forked and joined when.

    From the trace that a cell keeps beside its answers; asks nothing and never imports torch. Writes
    OUT.svg, .pdf and .png; in the SVG, parts say their whole text where the pointer rests.
    """
    from branchwise.reporting.finding import scores_of
    from branchwise.reporting.lanes import lanes_of
    from branchwise.reporting.lanes_figure import write_lanes
    from branchwise.reporting.names import short_names
    from branchwise.results import RunRecord, read_json, read_rows
    from branchwise.trace import GroupTrace

    experiment = experiment_from(config, setting)
    file, scores = scores_of(experiment, cell, cells or Path(experiment.cells_folder))
    folder = file.parent.parent
    if not (folder / "trace.jsonl").is_file():
        raise UserError(
            f"the trace of {'/'.join(scores.cell.values())} is not kept beside its scores in {folder}",
            "run `snakemake` without cached to make it",
        )
    about = scores.identity.about(scores.cell)
    traces = {one.group: one for one in read_rows(folder / "trace.jsonl", GroupTrace, about)}
    wanted = next(iter(traces), group) if group == FIRST else group
    if wanted not in traces:
        raise no_such_group(folder, wanted, list(traces))
    names = short_names(score.question for score in scores.questions if score.group == wanted)
    run = read_json(folder / "run.json", RunRecord)
    write_lanes(lanes_of(traces[wanted], names), out, wanted, run)
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        f"figure in {out}.svg, .pdf and .png", markup=False
    )
