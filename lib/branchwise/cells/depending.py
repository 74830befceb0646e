"""The dependency stage: finds and chooses the edges of every group, with what that cost."""

import time
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from branchwise.cells.clock import collector_off, set_aside
from branchwise.cells.generators.base import Generator
from branchwise.cells.staging import Kept
from branchwise.data.types import Group
from branchwise.dependencies.entries import ControlEntry, DependencyEntry
from branchwise.dependencies.graph import known_edges
from branchwise.dependencies.selection import select
from branchwise.errors import UserError
from branchwise.stages import GroupDependencies

if TYPE_CHECKING:
    from branchwise.cells.asker import Asker


def generator_of(entry: DependencyEntry, asker: "Asker | None" = None) -> Generator:
    """What finds the edges of an entry; `asker`: of one that asks a model."""
    return import_module(f"branchwise.cells.generators.{entry.generator}").generator(entry, asker)


@runtime_checkable
class AsksAhead(Protocol):
    """A generator that may ask of all groups at once before each is found by itself."""

    def ahead(self, groups: Sequence[Group]) -> None:
        """Ask what can be asked ahead."""


class Depending:
    """Finds the dependencies of groups by one catalogue entry.

    `count_tokens` counts those of a text as the model does: every selection weighs with them. `states`
    tells whether the data set states its dependencies.
    """

    def __init__(
        self,
        name: str,
        entry: DependencyEntry,
        generate: Generator,
        count_tokens: Callable[[str], int],
        states: bool,
    ) -> None:
        self.name = name
        self.entry = entry
        self.generate = generate
        self.count_tokens = count_tokens
        self.states = states

    def find(self, group: Group) -> GroupDependencies:
        """The edges of one group. The clock covers generator and selection, no loading."""
        with collector_off():
            started = time.perf_counter()
            found = self.generate(group)
            chosen = select(found.edges, group, self.entry.selection, self.count_tokens)
            wall_s = found.asked_s or time.perf_counter() - started
        known = tuple((e.source, e.target) for e in known_edges(group)) if self.states else None
        return GroupDependencies(
            group=group.id,
            generator=self.name,
            candidates=found.edges,
            edges=tuple((edge.source, edge.target) for edge in chosen),
            known=known,
            # What is given was not found: it cost nothing.
            wall_s=0.0 if isinstance(self.entry, ControlEntry) else wall_s,
            **found.facts,
        )


def states_needs(groups: Sequence[Group]) -> bool:
    """Whether the data state any dependency."""
    return any(question.needs for group in groups for question in group)


def check_control(entry: DependencyEntry, name: str, groups: Sequence[Group]) -> None:
    """Raises UserError for a control that would say nothing of these groups."""
    if isinstance(entry, ControlEntry) and entry.needs_stated and not states_needs(groups):
        raise UserError(
            f"dependencies {name} are those that the data state, and these state none",
            "exclude the strategies that follow them on this data set: they would be batch",
        )


def find_all(
    groups: Sequence[Group],
    depending: Depending,
    progress: Callable[[int, int], None],
    kept: Kept[GroupDependencies] | None = None,
) -> list[GroupDependencies]:
    """The dependencies of all groups; the first one that is to be found is done once before, untimed.

    What is found is `kept` at once, so that a stage that was stopped goes on from there.
    """
    kept = kept or Kept(GroupDependencies)
    if isinstance(depending.generate, AsksAhead):
        depending.generate.ahead([group for group in groups if kept.get(group) is None])
    found: list[GroupDependencies] = []
    warm = False
    for number, group in enumerate(groups, start=1):
        row = kept.get(group)
        if row is None:
            if not warm:
                depending.find(group)
                set_aside()
                warm = True
            row = depending.find(group)
            kept.add(group, row)
        found.append(row)
        progress(number, len(groups))
    return found
