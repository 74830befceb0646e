"""Files are written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from branchwise.errors import UserError


@contextmanager
def atomic_writer(path: Path) -> Iterator[TextIO]:
    """A text file under a temporary name beside `path`, put in its place when the block ends well.

    On an error nothing of it stays. Raises UserError where the disk is full or not writable.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; results are to be read like any other file.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        temporary = None
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error.strerror}", "free some space or check the folder"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with atomic_writer(path) as file:
        file.write(text)


def append_line(path: Path, line: str) -> None:
    """Append one line to a journal and see it to the disk.

    A line that a kill cut off does not swallow this one. Raises UserError where it cannot be written;
    what was written before stays.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(
            f"journal {path} could not be written: {error.strerror}",
            "free some space and run the same command again; what is finished is kept",
        ) from error
