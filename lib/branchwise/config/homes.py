"""Paths that begin in somebody's home."""

from contextlib import suppress
from pathlib import Path


def expanded(given: str) -> Path:
    """A path, `~` and `~name` expanded; as in a shell, a name that is nobody's here stays as it is."""
    path = Path(given)
    with suppress(RuntimeError):
        return path.expanduser()
    return path
