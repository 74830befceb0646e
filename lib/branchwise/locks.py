"""Locks that die with their process: flock, which the system lets go of however a process ends."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from branchwise.errors import UserError


def join_runs(folder: Path) -> tuple[TextIO, int]:
    """Take part in the runs of a working directory, and remove what dead ones left locked there.

    `folder` is Snakemake's own (`.snakemake`). Every run holds a shared lock for its life; whoever can
    have it alone knows that no other run lives, so that locks which are there are of killed ones.
    Returns the held file (closing it lets go) and how many stale locks were removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "branchwise.runs").open("w", encoding="utf-8")
    removed = 0
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in (folder / "locks").glob("*.lock"):
            lock.unlink(missing_ok=True)
            removed += 1
    except BlockingIOError:
        pass  # another run lives: Snakemake's own locks decide what both may do
    fcntl.flock(file, fcntl.LOCK_SH)
    return file, removed


@contextmanager
def alone(path: Path, say: Callable[[str], None], what: str = "does the same work") -> Iterator[bool]:
    """Hold a file's lock alone; whether another process had to be waited for, of which `what` is said.

    A killed workflow leaves its jobs running: the same work is never done by two at once.
    """
    waited = False
    while True:
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                say(f"waiting for process {file.read().strip() or '?'}, which {what}")
                waited = True
                fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(path, file):
                # Who held it has removed it, and a third may hold the one that is there now.
                continue
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield waited
            path.unlink(missing_ok=True)
            return


def _opened(path: Path) -> TextIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path} could not be written: {error.strerror}", "check the folder") from error


def _is_at(path: Path, file: TextIO) -> bool:
    """Whether an open file is the one that lies at a path now."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
