"""Dependencies that are given, not found."""

from typing import Any

from branchwise.cells.generators.base import Found, Generator
from branchwise.dependencies.controls import control_edges
from branchwise.dependencies.entries import ControlEntry


def generator(entry: ControlEntry, asker: Any) -> Generator:
    """Gives the edges of a control; asks no model."""
    return lambda group: Found(control_edges(group, entry))
