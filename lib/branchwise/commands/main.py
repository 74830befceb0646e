"""The command line, `branchwise`. Each stage is one command; Snakemake calls the same ones.

Nothing heavy is imported here: a command imports what it needs when it runs, so that `--help` and
the drawing of figures never wait for torch.
"""

import errno
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from io import TextIOWrapper
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
    # Commands and groups of commands take it over.
    context_settings={"help_option_names": ["-h", "--help"]},
)


def command(name: str, group: typer.Typer = app) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register a command whose UserErrors and OSErrors become one line on stderr and exit status 2.

    It ends quietly, with status 1, where nobody reads its output any more (`| head`).
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> None:
            try:
                function(*args, **kwargs)
                _flush()
            except UserError as error:
                raise _told(error) from None
            except OSError as error:
                unread = isinstance(error, BrokenPipeError) and _reader_is_gone()
                _drop_unwritable()
                if unread:
                    raise typer.Exit(1) from None
                raise _told(_as_user_error(error)) from None
            except KeyboardInterrupt:
                print("stopped; the same command goes on from here", file=sys.stderr)
                raise typer.Exit(130) from None

        group.command(name)(guarded)
        return guarded

    return register


def _told(error: UserError) -> typer.Exit:
    """Prints an error on stderr; the exit that follows."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(
        f"[bold red]error:[/] {_escaped(str(error))}"
    )
    return typer.Exit(2)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


_REMEDIES = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EACCES: "check that you may read and write there",
    errno.EPERM: "check that you may read and write there",
    errno.EROFS: "name a folder that can be written to",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "check the path",
}


def _as_user_error(error: OSError) -> UserError:
    """What the system, or a library in its name, could not do, in a line: the file, and why."""
    lines = str(error).splitlines() or [type(error).__name__]
    problem = error.strerror or lines[0]
    if error.filename is not None:
        problem = f"{error.filename}: {problem}"
    return UserError(problem, _REMEDIES.get(error.errno or 0, "mend this and run the same command again"))


def _flush() -> None:
    """Write out what was printed: it would fail after the command otherwise, where nobody catches it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise OSError(error.errno, error.strerror, "standard output") from error


def _reader_is_gone() -> bool:
    """Whether nobody reads the output. (A pipe to a worker, or a connection, may be the broken one.)"""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # there is none, or it is no file
            poll.register(stream.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _drop_unwritable() -> None:
    """Throw away what was printed and cannot be written: it would fail once more at the very end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)


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


def _print_anything() -> None:
    """Characters that the terminal's encoding lacks are escaped: they are no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run() -> None:
    """Entry point."""
    _print_anything()
    from branchwise.commands import registered

    registered.import_all()
    app()
