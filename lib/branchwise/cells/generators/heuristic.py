"""Dependencies read off the words of the questions."""

from typing import Any

from branchwise.cells.generators.base import Found, Generator
from branchwise.dependencies.entries import HeuristicEntry
from branchwise.dependencies.heuristic import heuristic_edges


def generator(entry: HeuristicEntry, asker: Any) -> Generator:
    """Reads the edges of a group; asks no model."""
    return lambda group: Found(heuristic_edges(group))
