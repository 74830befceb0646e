"""Where the files lie that the library reads, or writes anew, and that do not lie beside its code.

In the repository each has its place: `config/catalogues`, `resources/models/tiny`, `resources/published`.
A wheel carries those that are read in a folder of the package, each in the same place below it
(pyproject.toml, `tool.hatch.build.targets.wheel`), so that what a catalogue says relative to the
repository leads to them in both.
"""

from pathlib import Path

from branchwise.config.imports import LIBRARY

_CARRIED = LIBRARY / "shipped"

IS_INSTALLED = _CARRIED.is_dir()
"""Whether this library was installed from a wheel; otherwise it runs in the repository."""

ROOT = _CARRIED if IS_INSTALLED else LIBRARY.parents[1]
"""What they lie below: the repository, or the folder of the package."""


def shipped(name: str) -> Path:
    """A file or folder that the library reads, by its path in the repository."""
    return ROOT / name


def kept(name: str) -> Path:
    """Where a command writes a file that the repository keeps: its place there. An installed library
    does not write into itself: there it is a file of this name in the working directory.
    """
    return Path(Path(name).name) if IS_INSTALLED else ROOT / name
