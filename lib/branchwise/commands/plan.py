"""`branchwise plan`: before anything is run, what an experiment would take."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.config import Cell, Experiment
    from branchwise.reporting.estimates import Estimate

GPU, CPU = "h200", "cpu"
DEFAULT_EFFICIENCY = 0.5


@command("plan")
def plan(
    device: Annotated[
        str | None,
        typer.Option(
            help="Device that it is planned for: h200, h100, a100-80, l40s, cpu "
            f"(resources/plan/devices.yaml); default: {GPU} where the config has `gpus`, else {CPU}."
        ),
    ] = None,
    efficiency: Annotated[
        float, typer.Option(help="Share of the device's floor that is taken to be reached, above 0 to 1.")
    ] = DEFAULT_EFFICIENCY,
    smoke: Annotated[
        int, typer.Option(min=1, help="Size of the smoke test whose cells are used, where any are.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; default: print the table alone.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Print cells, tokens, hours and, where servers have prices, money, before anything is run.

    Cells whose result is there are shown as done, and are in no total. Numbers are by a model of what
    each strategy asks and of the device; of cells that a smoke test has measured they are its own, as
    `branchwise estimate` has them, which needs that test of every cell.
    """
    from branchwise.files import write_text
    from branchwise.reporting.planning.making import plan_of
    from branchwise.reporting.planning.plan import (
        frame_of,
        hours_by_model,
        lines_of,
        notes,
        numbers_of,
        total,
    )
    from branchwise.reporting.shown import show_cells

    if not 0 < efficiency <= 1:
        raise UserError(f"--efficiency {efficiency} is no share", "give a number above 0, at most 1")
    kept = [one for one in setting if one.partition("=")[0].strip() != "smoke"]
    whole = experiment_from(config, [*kept, "smoke=0"])
    name = device or (GPU if whole.gpus else CPU)
    found = plan_of(whole, name, efficiency, measured(whole, config, kept, smoke))
    frame = frame_of(found)
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"What {whole.experiment} would take on {name}", markup=False)
    show_cells(frame, Console())
    for line in lines_of(found.beside):
        console.print(f"beside the cells: {line}", markup=False)
    for model, hours in hours_by_model(found).items():
        console.print(f"{model}: {hours:.2g} h", markup=False)
    for line in (f"Total: {total(found)}", *notes(found)):
        console.print(line, markup=False)
    if out is not None:
        write_text(out, numbers_of(found).to_csv(index=False, lineterminator="\n"))


def measured(
    whole: "Experiment", config: Sequence[Path], kept: Sequence[str], smoke: int
) -> "dict[Cell, Estimate]":
    """What a smoke test of this size says of all groups, of the cells that it has tried."""
    from branchwise.reporting.estimates import estimates, num_groups_of, run_files

    small = experiment_from(config, [*kept, f"smoke={smoke}"])
    runs = {cell: file for cell, file in run_files(small).items() if file.is_file()}
    entries = whole.catalogues.datasets
    groups = {name: num_groups_of(entries[name]) for name in {cell.dataset for cell in runs}}
    return {one.cell: one for one in estimates(runs, groups, whole.groups_in_flight)}
