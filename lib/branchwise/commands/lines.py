"""Lines of a file that a command is given by hand, or of standard input."""

import sys
from collections.abc import Iterator
from pathlib import Path

from branchwise.errors import UserError


def lines_of(file: Path) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, each with its number; `-` is standard input.

    Lines end at line feeds only: other separators may stand inside of a text. Raises UserError where
    there is no such file.
    """
    if str(file) != "-" and not file.is_file():
        raise UserError(f"{file} does not exist", "check the path, or give - for stdin")
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, line
