"""`branchwise estimate`: from a smoke test, what the experiment would cost and take."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import ConfigOption, SetOption, experiment_from
from branchwise.errors import UserError


@command("estimate")
def estimate(
    out: Annotated[
        Path | None, typer.Option(help="CSV file to write; default: print the table alone.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Print tokens, cost and time of every cell of an experiment, from its smoke test (`smoke: 1`).

    Run the smoke test first: `snakemake --cores all --configfile CONFIG --config smoke=1`. Times are
    those of answering, groups in flight as the config says, on the machine of the smoke test. `branchwise
    plan` needs no run, and takes what a smoke test has measured where there is one.
    """
    from branchwise.config.stages import asked_beside
    from branchwise.files import write_text
    from branchwise.reporting.estimates import estimates, frame_of, num_groups_of, run_files, totals
    from branchwise.reporting.shown import show_cells

    small = experiment_from(config, setting)
    if not small.smoke:
        raise UserError(
            f"experiment {small.experiment} is no smoke test", "set `smoke: 1` (--set smoke=1)"
        )
    kept = [one for one in setting if one.partition("=")[0].strip() != "smoke"]
    whole = experiment_from(config, [*kept, "smoke=0"])
    runs = run_files(small)
    if missing := [cell for cell, file in runs.items() if not file.is_file()]:
        raise UserError(
            f"{len(missing)} of {len(runs)} cells have not been tried, the first: {missing[0]}",
            "run the smoke test: `snakemake --config smoke=1` with the same config",
        )
    groups = {name: num_groups_of(whole.catalogues.datasets[name]) for name in whole.datasets}
    found = estimates(runs, groups, whole.groups_in_flight)
    frame = frame_of(found)
    print(f"What {small.experiment} would cost and take")
    show_cells(frame, Console())
    print(totals(found))
    if others := asked_beside(whole):
        print(
            f"beside that: what {' and '.join(others)} ask of servers, which is in none of these numbers"
        )
    if out is not None:
        write_text(out, frame.to_csv(index=False, lineterminator="\n"))
