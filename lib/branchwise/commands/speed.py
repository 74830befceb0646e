"""`branchwise speed`: the benchmark's result to its figure."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.errors import UserError


@command("speed")
def speed(
    result: Annotated[Path, typer.Argument(help="A JSON file that `branchwise bench --out` wrote.")],
    out: Annotated[Path, typer.Option(help="Where the figure goes, without a suffix.")],
) -> None:
    """Draw time against branches and against prefix length, with the floor: PDF, SVG and PNG."""
    from branchwise.reporting.speed import write_speed

    try:
        measured = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{result} cannot be read: {error}", "run `branchwise bench --out` first"
        ) from None
    if not isinstance(measured, dict):
        raise UserError(f"{result} is no benchmark's result", "run `branchwise bench --out` first")
    write_speed(measured, out)
    Console(stderr=True, highlight=False).print(f"figure in {out}.svg, .pdf and .png")
