"""Dependencies that were found before, as a cell follows them."""

from collections.abc import Mapping
from pathlib import Path

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge, with_edges
from branchwise.errors import UserError
from branchwise.results import GroupDependencies, read_rows


def read_dependencies(path: Path, name: str, settings: str) -> dict[str, GroupDependencies]:
    """A file of `branchwise depend`, by group. Raises UserError where it is of another generator, or of
    other settings.
    """
    rows = read_rows(path, GroupDependencies, {"settings": settings})
    found = {one.group: one for one in rows}
    others = {one.generator for one in found.values()} - {name}
    if others:
        raise UserError(
            f"{path} holds dependencies {', '.join(others)}, not {name}", "give the right file"
        )
    return found


def with_found(group: Group, found: Mapping[str, GroupDependencies]) -> Group:
    """The group with the dependencies that were found for it.

    Raises UserError where nothing is known of it, and where its questions wait in a circle.
    """
    if group.id not in found:
        raise UserError(f"no dependencies are known of group {group.id}", "run `branchwise depend` anew")
    edges = (Edge(source=source, target=target) for source, target in found[group.id].edges)
    return with_edges(group, edges)
