"""`branchwise coverage`: how often the intervals of tables hold the truth, by simulation."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import progress_bar
from branchwise.config.shipped import kept

STUDY = kept("resources/studies/coverage.csv")


@command("coverage")
def coverage(
    out: Annotated[Path, typer.Option(help="CSV to write; a figure of the same name beside it.")] = STUDY,
    replicates: Annotated[int, typer.Option(min=100, help="Experiments that each cell draws.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other experiments.")] = 0,
) -> None:
    """Simulate how often nominal 95 % intervals hold the truth, at 5 to 100 groups: some minutes on one
    core. The cells outside 93 to 98 % are listed.
    """
    import pandas as pd

    from branchwise.evaluation.coverage import measure, settings
    from branchwise.files import write_text
    from branchwise.reporting.coverage import outside, summary, write_coverage

    cells = list(settings())
    rows = []
    with progress_bar("coverage") as progress:
        for number, setting in enumerate(cells, start=1):
            rows += measure(setting, replicates, seed)
            progress(number, len(cells))
    frame = pd.DataFrame(rows)
    write_text(out, frame.to_csv(index=False, lineterminator="\n"))
    write_coverage(frame, out.with_suffix(""))
    console = Console(highlight=False)
    console.print(summary(frame).to_string())
    for line in outside(frame):
        console.print(line)
