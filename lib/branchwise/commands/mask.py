"""`branchwise mask`: which token saw which while a group was answered, as a file and as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    FIRST,
    ConfidenceOption,
    ConfigOption,
    DecoderOption,
    DependenciesOption,
    GroupOption,
    ModelOption,
    ParaphrasesOption,
    SetOption,
    SettingsOption,
    StrategyOption,
    cell_from,
    check_settings,
    computing_experiment,
    no_such_group,
)
from branchwise.config import Cell, Experiment
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.cells.job import CellJob
    from branchwise.data.types import Group
    from branchwise.masks import MaskRecord
    from branchwise.stages import Before


@command("mask")
def mask(
    out: Annotated[Path, typer.Option(help="Where file and figure go, without a suffix.")],
    dataset: Annotated[str | None, typer.Option(help="Name in the catalogue of data sets.")] = None,
    model: ModelOption = "tiny",
    strategy: StrategyOption = "batch",
    decoder: DecoderOption = "tree",
    group: GroupOption = FIRST,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="File of groups, from `branchwise prepare`, with the files of stages that the strategy "
            "uses; default: all is made anew, for this group alone."
        ),
    ] = None,
    dependencies: DependenciesOption = None,
    paraphrases: ParaphrasesOption = None,
    confidence: ConfidenceOption = None,
    record_only: Annotated[
        bool, typer.Option("--record-only", help="Write the JSON file and draw nothing.")
    ] = False,
    made: Annotated[
        Path | None, typer.Option("--from", help="Only draw this file of an earlier call, without torch.")
    ] = None,
    order: Annotated[
        str, typer.Option(help="Of rows and columns: by `segments`, or token by token as `computed`.")
    ] = "segments",
    settings: SettingsOption = None,
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
        experiment = computing_experiment(config, setting)
        cell = cell_from(experiment, dataset, model, strategy, decoder)
        files = (groups, dependencies, paraphrases, confidence)
        record = _record(experiment, cell, group, files, out, settings)
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
    files: tuple[Path | None, ...],
    out: Path,
    settings: str | None,
) -> "MaskRecord":
    """Ask the group, and record; `files` are those of groups and of the stages before."""
    from branchwise.cells.masks import record_mask
    from branchwise.commands.jobs import job_of
    from branchwise.config.identity import cell_settings, check_models

    check_models(experiment, [cell.model])
    check_settings(settings, cell_settings(experiment, cell), str(cell))
    job = job_of(experiment, cell)
    groups, *stages = files
    if groups is None:
        if any(stages):
            raise UserError("a file of a stage stands without --groups", "give the groups that it is of")
        return record_mask(job, *_made(experiment, cell, wanted, job), _say)
    from branchwise.cells.job import CellFiles
    from branchwise.cells.making import groups_of

    found, before = groups_of(job, CellFiles(groups, out, out, *stages))
    for one in found:
        if wanted in (FIRST, one.id):
            return record_mask(job, one, before.get(one.id, ()), _say)
    raise no_such_group(groups, wanted, [one.id for one in found])


def _made(experiment: Experiment, cell: Cell, wanted: str, job: "CellJob") -> "tuple[Group, Before]":
    """The group by its id, made anew, with what the stages that the strategy uses find for it."""
    from branchwise.cells.found import with_found
    from branchwise.commands.asking import dataset_entry, dataset_group, found_before
    from branchwise.decoding.models.source import ModelSource

    entry = dataset_entry(experiment, cell.dataset, None)
    group = dataset_group(entry, cell.dataset, None if wanted == FIRST else wanted)
    source = ModelSource(job.model, None)
    before = found_before(experiment, job.strategy, source, job.decoder, job.style, entry.language, group)
    return with_found(group, before), before
