"""What running and ended jobs leave behind: locks, logs and journals."""

import fcntl
import os
from pathlib import Path

_TAIL_BYTES = 1 << 14
_CHUNK_BYTES = 1 << 20
_TRACEBACK = "Traceback (most recent call last)"


def holder_of(lock: Path) -> str | None:
    """The process (its id) that holds a lock of `branchwise.locks`; None where none does. A killed one
    holds nothing, whatever it left there.
    """
    try:
        file = os.open(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        # Shared, and let go of at once: whoever comes for it meanwhile waits no longer than this.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(file, 32).decode(errors="replace").strip() or "?"
    except OSError:
        return None  # a file system without locks
    finally:
        os.close(file)
    return None


def failure_of(log: Path, since: float = 0.0) -> str | None:
    """What a job's log says that it ended by: its last `error: ` line, or the end of a traceback. None
    where it says nothing of the kind, where there is none, and where it was written before `since`
    (seconds, as `st_mtime`).
    """
    try:
        with log.open("rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_mtime < since:
                return None
            file.seek(max(0, stat.st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("error: ")]
    if told:
        return told[-1]
    return lines[-1] if any(line.startswith(_TRACEBACK) for line in lines) else None


def lines_in(journal: Path) -> int:
    """Whole lines of a journal: pieces of work that it holds; 0 where there is none."""
    number = 0
    try:
        with journal.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                number += chunk.count(b"\n")
    except OSError:
        return 0
    return number


def written_at(path: Path) -> float:
    """When a file was last written to, in seconds; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
