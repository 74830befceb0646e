"""`branchwise mask`: which token saw which while a group was answered, as a file and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    SetOption,
    cell_from,
    check_settings,
    experiment_from,
)
from branchwise.config import Cell, Experiment
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.cells.job import CellJob
    from branchwise.data.types import Group
    from branchwise.masks import MaskRecord

FIRST = "first"
"""In place of a group's id: the first one."""


@command("mask")
def mask(
    out: Annotated[Path, typer.Option(help="Where file and figure go, without a suffix.")],
    dataset: Annotated[str | None, typer.Option(help="Name in the catalogue of data sets.")] = None,
    model: Annotated[str, typer.Option(help="Name in the catalogue of models.")] = "tiny",
    strategy: Annotated[str, typer.Option(help="Name in the catalogue of strategies.")] = "batch",
    decoder: Annotated[str, typer.Option(help="Name in the catalogue of decoders.")] = "tree",
    group: Annotated[str, typer.Option(help="Id of the group, or `first`.")] = FIRST,
    groups: Annotated[
        Path | None, typer.Option(help="File of groups, from `branchwise prepare`; default: made anew.")
    ] = None,
    dependencies: Annotated[
        Path | None,
        typer.Option(help="File of `branchwise depend`, for strategies that follow any; default: found."),
    ] = None,
    record_only: Annotated[
        bool, typer.Option("--record-only", help="Write the JSON file and draw nothing.")
    ] = False,
    made: Annotated[
        Path | None, typer.Option("--from", help="Only draw this file of an earlier call, without torch.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="Of rows and columns: by `segments`, or token by token as `computed`.")
    ] = "segments",
    settings: Annotated[
        str | None, typer.Option(help="Refuse to run where the settings have not this hash.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Record the attention mask of one group as the tree decoder used it, and draw it.

    Taken from the decoder while it answers, with kernel `dense`. Writes OUT.json (which token saw which,
    and what the parts of the prompt are), then OUT.svg, .pdf and .png from that file alone; in the SVG,
    parts say their text where the pointer rests.
    """
    from branchwise.masks import MaskRecord
    from branchwise.reporting.mask_rows import ORDERS
    from branchwise.results import read_json, write_json

    ordered = next((one for one in ORDERS if one == order), None)
    if ordered is None:
        raise UserError(f"--order {order} is none", f"there are: {', '.join(ORDERS)}")
    if made is None:
        if dataset is None:
            raise UserError("no group is named", "give --dataset, or --from a file made before")
        experiment = experiment_from(config, setting)
        cell = cell_from(experiment, dataset, model, strategy, decoder)
        record = _record(experiment, cell, group, groups, dependencies, settings)
        made = out.with_name(f"{out.name}.json")
        write_json(made, record)
        _say(f"mask in {made}")
    elif dataset is not None or record_only:
        raise UserError("--from stands beside --dataset or --record-only", "give one of them")
    if not record_only:
        from branchwise.reporting.mask_figure import write_mask

        write_mask(read_json(made, MaskRecord), out, ordered)
        _say(f"figure in {out}.svg, .pdf and .png")


def _say(text: str) -> None:
    Console(stderr=True, highlight=False, soft_wrap=True).print(text, markup=False)


def _record(
    experiment: Experiment,
    cell: Cell,
    wanted: str,
    groups: Path | None,
    dependencies: Path | None,
    settings: str | None,
) -> "MaskRecord":
    """Ask the group, and record."""
    from branchwise.cells.masks import record_mask
    from branchwise.commands.jobs import job_of
    from branchwise.config.identity import cell_settings, check_models

    check_models(experiment, [cell.model])
    check_settings(settings, cell_settings(experiment, cell), str(cell))
    job = job_of(experiment, cell)
    group = _group(experiment, cell, wanted, groups, job)
    return record_mask(job, _followed(experiment, cell, group, dependencies, job), _say)


def _group(
    experiment: Experiment, cell: Cell, wanted: str, groups: Path | None, job: "CellJob"
) -> "Group":
    """The group by its id, of a file or made anew. Raises UserError where there is none such."""
    from branchwise.data.groups_file import read_groups
    from branchwise.files import value_hash

    if groups is None:
        from branchwise.commands.asking import dataset_entry, dataset_group

        entry = dataset_entry(experiment, cell.dataset, None)
        return dataset_group(entry, cell.dataset, None if wanted == FIRST else wanted)
    found = read_groups(groups, value_hash(job.identity.settings["groups"]))
    for one in found:
        if wanted in (FIRST, one.id):
            return one
    some = ", ".join(one.id for one in found[:5])
    raise UserError(f"{groups} has no group {wanted} among its {len(found)}", f"the first are: {some}")


def _followed(
    experiment: Experiment, cell: Cell, group: "Group", path: Path | None, job: "CellJob"
) -> "Group":
    """The group with the dependencies that the strategy follows, read or found; without any where it
    follows none.
    """
    from branchwise.cells.found import read_dependencies, with_found
    from branchwise.dependencies.graph import with_edges
    from branchwise.files import value_hash

    name = job.strategy.dependencies
    if name is None:
        if path is not None:
            raise UserError(
                f"strategy {cell.strategy} follows no dependencies", "leave out --dependencies"
            )
        return with_edges(group, [])
    if path is not None:
        found: dict[str, Any] = read_dependencies(
            path, name, value_hash(job.identity.settings["dependencies"])
        )
    else:
        from branchwise.commands.asking import dependencies_of
        from branchwise.decoding.models.source import ModelSource

        found = {group.id: dependencies_of(experiment, name, ModelSource(job.model, None), group)}
    return with_found(group, found)
