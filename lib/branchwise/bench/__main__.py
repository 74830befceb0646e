"""`python -m branchwise.bench`: `branchwise bench` for a machine with little more than torch."""

import sys

import typer

from branchwise.bench.command import bench
from branchwise.errors import UserError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(bench)

try:
    app()
except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
