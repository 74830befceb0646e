"""Files are written whole or not at all."""

import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from branchwise.errors import UserError


def cache_folder() -> Path:
    """What is kept between runs and folders: `$BRANCHWISE_CACHE`, or the user's cache."""
    given = os.environ.get("BRANCHWISE_CACHE")
    return expanded(given) if given else Path.home() / ".cache/branchwise"


def expanded(given: str) -> Path:
    """A path, `~` and `~name` expanded; as in a shell, a name that is nobody's here stays as it is."""
    path = Path(given)
    with suppress(RuntimeError):
        return path.expanduser()
    return path


def file_hash(path: Path) -> str | None:
    """Hash of a file, read whole; None where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError:
        return None


def content_hash(path: Path) -> str | None:
    """`file_hash` of a file that may be large: read once, and again where it has changed."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return _content_at(path, stat.st_size, stat.st_mtime_ns)


@cache
def _content_at(path: Path, size: int, mtime_ns: int) -> str | None:
    return file_hash(path)


def value_hash(value: Any) -> str:
    """Eight hexadecimal digits that stand for JSON data."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:8]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, put in its place when the block ends well.

    On an error nothing of it stays. Raises UserError where the disk is full or not writable.
    """
    temporary: Path | None = None
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is no ordinary file", "give the path of a file to be written")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        os.close(handle)
        temporary = Path(name)
        yield temporary
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


@contextmanager
def atomic_writer(path: Path) -> Iterator[TextIO]:
    """A text file that takes the place of `path` when the block ends well; see `atomic_path`."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with atomic_writer(path) as file:
        file.write(text)


@contextmanager
def told_unreadable(path: Path, remedy: str = "make it anew") -> Iterator[None]:
    """Errors of reading a text file as UserErrors that name it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start})", remedy) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", remedy) from None


def read_journal(path: Path) -> tuple[dict[str, Any], int]:
    """What `append_journal` wrote, by key, and how many lines could not be read (writes that were cut
    off). Nothing where there is no journal.
    """
    records: dict[str, Any] = {}
    num_broken = 0
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                records[entry["key"]] = entry["record"]
            except (ValueError, KeyError, TypeError, RecursionError):
                num_broken += 1
    return records, num_broken


def append_journal(path: Path, *entries: tuple[str, Any]) -> None:
    """Append records (JSON data), each under its key, to a journal and see them to the disk.

    A line that a kill cut off does not swallow this one, and neither does one that another thread or
    process writes at the same time. Raises UserError where it cannot be written; what was written before
    stays.
    """
    lines = [json.dumps({"key": key, "record": record}) + "\n" for key, record in entries]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            # Let go of when the file is closed.
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write("".join(lines).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(
            f"journal {path} could not be written: {error.strerror}",
            "free some space and run the same command again; what is finished is kept",
        ) from error
