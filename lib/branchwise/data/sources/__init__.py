"""Data sets that are read: one small module each, found by being here.

A module defines a subclass of `FileDataset` with `source: Literal["<name>"]`; the catalogue, the config
reference and the code hashes know it from then on.
"""

from branchwise.data.sources.base import FileDataset
from branchwise.registry import types_in

SOURCES = types_in(__name__, __path__, FileDataset, "source")
"""Name of a source -> the type of its catalogue entries."""
