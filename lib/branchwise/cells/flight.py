"""Many groups asked at once by one runner: their records, in the groups' order.

What a group is answered, and what its ledger says, does not depend on what else is in flight: the tree
decoder shares prompts inside a group only, and a decoder that pads is given one group at a time.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner, record_of
from branchwise.data.types import Group
from branchwise.decoding.loop import run
from branchwise.errors import DoesNotFit
from branchwise.results import GroupRecord, LeftOut
from branchwise.stages import Before

Found = Mapping[str, Before]


@dataclass(frozen=True)
class Flight:
    """What came of all groups: records of those with answers, those that do not fit, and how it went.

    `makespan_s` covers the groups that were asked here, not those of the journal.
    """

    records: tuple[GroupRecord, ...]
    left_out: tuple[LeftOut, ...]
    num_resumed: int
    makespan_s: float
    groups_in_flight: int


def run_groups(
    runner: GroupRunner,
    groups: Sequence[Group],
    journal: Journal,
    progress: Callable[..., None],
    warn: Callable[[str], None],
    found: Found = MappingProxyType({}),
    groups_in_flight: int = 1,
    strict: bool = False,
) -> Flight:
    """Ask all groups, so many at once; finished ones go to the journal and are not asked again.

    `found` holds what stages before had found for each group. The first group that is not in the journal
    warms the decoder up. A group that does not fit the model is left out, and `warn` hears why; with
    `strict` its DoesNotFit is raised.
    """
    done = {group.id: record for group in groups if (record := journal.get(group))}
    num_resumed = len(done)
    waiting = [group for group in groups if group.id not in done]
    unfit: dict[str, LeftOut] = {}
    most = min([groups_in_flight, *(n for d in runner.decoders if (n := d.max_groups) is not None)])

    async def ask(group: Group) -> None:
        try:
            record = record_of(group, await runner.ask(group), warn, found.get(group.id, ()))
        except (DoesNotFit, ExceptionGroup) as raised:
            error = _unfit(raised)
            if strict or error is None:
                raise
            unfit[group.id] = LeftOut(group=group.id, num_questions=len(group), reason=error.problem)
            warn(f"left out: {error.problem}")
        else:
            journal.append(group, record)
            done[group.id] = record
        progress(len(done) + len(unfit), len(groups), *filter(None, [runner.doing]))

    progress(num_resumed, len(groups))
    _warm_up(runner, waiting)
    began = time.perf_counter()
    with runner.attached():
        run(_all(waiting, ask, most), runner.step)
    return Flight(
        records=tuple(done[group.id] for group in groups if group.id in done),
        left_out=tuple(unfit[group.id] for group in groups if group.id in unfit),
        num_resumed=num_resumed,
        makespan_s=time.perf_counter() - began,
        groups_in_flight=most,
    )


async def _all(groups: Sequence[Group], ask: Callable, most: int) -> None:
    """Ask all groups, `most` at a time, each in a task of its own: whatever it awaits is its own."""
    left: Iterator[Group] = iter(groups)

    async def in_turn() -> None:
        for group in left:
            await asyncio.create_task(ask(group))

    await asyncio.gather(*(in_turn() for _ in range(most)))


def _unfit(error: DoesNotFit | ExceptionGroup) -> DoesNotFit | None:
    """The reason, where an error is nothing but prompts that do not fit (a strategy's task group wraps
    them); else None.
    """
    if isinstance(error, DoesNotFit):
        return error
    leaves = [
        _unfit(one) if isinstance(one, DoesNotFit | ExceptionGroup) else None for one in error.exceptions
    ]
    return leaves[0] if all(leaves) else None


def _warm_up(runner: GroupRunner, groups: Sequence[Group]) -> None:
    """With the first group that fits."""
    for group in groups:
        try:
            runner.warm_up(group)
        except (DoesNotFit, ExceptionGroup) as error:
            if _unfit(error) is None:
                raise
        else:
            return
