"""Data sets that are read: one small module each, found by being here.

A module defines a subclass of `FileDataset` with `source: Literal["<name>"]`; the catalogue, the config
reference and the code hashes know it from then on.
"""

import pkgutil
from importlib import import_module

from branchwise.data.sources.base import FileDataset


def _classes() -> dict[str, type[FileDataset]]:
    found: dict[str, type[FileDataset]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, FileDataset)
                and "source" in value.model_fields
            ):
                (name,) = value.model_fields["source"].annotation.__args__  # type: ignore[union-attr]
                found[name] = value
    return dict(sorted(found.items()))


SOURCES = _classes()
"""Name of a source -> the type of its catalogue entries."""
