"""What stages before answering share: what is found is kept, and many groups are asked at once."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from branchwise.cells.clock import collector_off, set_aside
from branchwise.data.types import Group
from branchwise.decoding.contract import is_remote
from branchwise.decoding.loop import run
from branchwise.files import append_journal, read_journal
from branchwise.records import Record
from branchwise.stages import GroupConfidence, GroupParaphrases

R = TypeVar("R", bound=Record)
W = TypeVar("W", GroupParaphrases, GroupConfidence)
W_co = TypeVar("W_co", GroupParaphrases, GroupConfidence, covariant=True)

MOST_ASKS = 1024
"""Asks in flight at once, about: a step holds the logits of all of them. A group is never parted."""


class Kept(Generic[R]):
    """What a stage has found so far, under a hash of `identity` and the group, in a journal where `path`
    names one: a stage that was stopped goes on from there.
    """

    def __init__(self, kind: type[R], path: Path | None = None, identity: str = "") -> None:
        self._kind, self._path, self._identity = kind, path, identity
        self._known, _ = read_journal(path) if path else ({}, 0)

    def get(self, group: Group) -> R | None:
        """What is known of a group."""
        content = self._known.get(self._key(group))
        return None if content is None else self._kind.model_validate(content)

    def add(self, group: Group, row: R) -> None:
        """Note what was found. Raises UserError where it cannot be written."""
        if self._path is not None:
            append_journal(self._path, (self._key(group), row.model_dump(mode="json")))

    def _key(self, group: Group) -> str:
        return hashlib.sha256(f"{self._identity}\n{group.model_dump_json()}".encode()).hexdigest()


class Finder(Protocol[W_co]):
    """A stage that asks a model about each group."""

    @property
    def decoder(self) -> Any:
        """The decoder that it asks."""

    def num_asks(self, group: Group) -> int:
        """How many asks of a group are in flight at once, at most."""

    async def find(self, group: Group) -> W_co:
        """What there is to say of a group. Its `wall_s` is that of the longest chain of replies where a
        server gave them; else 0, and set by whoever knows what else was asked.
        """


def find_at_once(
    groups: Sequence[Group],
    finder: Finder[W],
    kept: Kept[W],
    progress: Callable[[int, int], None],
    most_groups: int,
) -> list[W]:
    """What a stage finds for all groups, up to `most_groups` of them in one tree at once.

    A group's `wall_s` is its share, by tokens computed, of the time that those asked with it took; of a
    served model that of its replies. The first group that is not known is asked once before, untimed,
    where a model here has to warm up.
    """
    found = {group.id: row for group in groups if (row := kept.get(group)) is not None}
    waiting = [group for group in groups if group.id not in found]
    progress(len(found), len(groups))
    if waiting and not is_remote(finder.decoder):
        _timed(waiting[:1], finder)
        set_aside()
    for flight in _flights(waiting, finder, most_groups):
        for group, row in zip(flight, _timed(flight, finder), strict=True):
            kept.add(group, row)
            found[group.id] = row
        progress(len(found), len(groups))
    return [found[group.id] for group in groups]


def find_alone(group: Group, finder: Finder[W]) -> W:
    """What a stage finds for one group, timed."""
    (row,) = _timed([group], finder)
    return row


def _flights(groups: Sequence[Group], finder: Finder, most_groups: int) -> Iterator[list[Group]]:
    """The groups in order, as many together as may be asked at once."""
    flight: list[Group] = []
    num_asks = 0
    for group in groups:
        more = finder.num_asks(group)
        if flight and (len(flight) == most_groups or num_asks + more > MOST_ASKS):
            yield flight
            flight, num_asks = [], 0
        flight.append(group)
        num_asks += more
    if flight:
        yield flight


def _timed(groups: Sequence[Group], finder: Finder[W]) -> list[W]:
    """What is found for groups that are asked together, each with its share of the time."""

    async def every() -> list[W]:
        return list(await asyncio.gather(*map(finder.find, groups)))

    with finder.decoder.attached(), collector_off():
        began = time.perf_counter()
        rows = run(every(), finder.decoder.step)
        wall_s = time.perf_counter() - began
    computed = [row.tokens.unique + row.tokens.generated + row.tokens.padding for row in rows]
    whole = sum(computed) or 1.0
    return [
        row if row.wall_s else row.model_copy(update={"wall_s": wall_s * mine / whole})
        for row, mine in zip(rows, computed, strict=True)
    ]
