"""The command line, `branchwise`. Each stage is one command; Snakemake calls the same ones.

Nothing heavy is imported here: a command imports what it needs when it runs, so that `--help` and
the drawing of figures never wait for torch.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import typer
from rich.console import Console

from branchwise import __version__
from branchwise.errors import UserError

app = typer.Typer(
    help="Parallel decoding of related questions, reproducible. One command a stage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def command(name: str, group: typer.Typer = app) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose UserErrors become one line on stderr and exit status 2."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
            except UserError as error:
                Console(stderr=True, soft_wrap=True, highlight=False).print(
                    f"[bold red]error:[/] {_escaped(str(error))}"
                )
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                print("stopped; the same command goes on from here", file=sys.stderr)
                raise typer.Exit(130) from None

        group.command(name)(guarded)
        return guarded

    return register


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _version(show: bool) -> None:
    if show:
        print(f"branchwise {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Parallel decoding, reproducible."""


def run() -> None:
    """Entry point."""
    from branchwise.commands import registered

    registered.import_all()
    app()
