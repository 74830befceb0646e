"""Times: every strategy on the same groups, interleaved, in one process, alone on the machine.

Cells that run one after another differ by more than their strategies do (another minute, another load,
another process), and an interval over groups holds nothing of that. So all contestants take turns on each
group: each comes once in every place of the order before any comes twice, and the reference runs once
more under another name, which shows what difference nothing makes (the A/A runs).
"""

import hashlib
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from branchwise.cells import provenance
from branchwise.cells.clock import set_aside
from branchwise.cells.found import unfit_of
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.making import Workshop, groups_of
from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group
from branchwise.errors import DoesNotFit, UserError
from branchwise.files import append_journal, read_journal
from branchwise.locks import alone
from branchwise.results import Identity, read_json, write_json
from branchwise.times import TimedRun, TimesRecord

Progress = Callable[[int, int], None]
Say = Callable[[str], None]
Prefix = Literal["warm", "cold"] | None


@dataclass(frozen=True)
class TimingJob:
    """What is timed: cells of one data set and model, the strategy that runs twice, and how often."""

    jobs: tuple[CellJob, ...]
    files: tuple[CellFiles, ...]
    reference: str
    identity: Identity
    timed_groups: int
    repeats: int
    out: Path
    journal: Path


@dataclass(frozen=True)
class _Contestant:
    strategy: str
    decoder: str
    again: bool
    runner: GroupRunner
    groups: Sequence[Group]


def run_timing(job: TimingJob, progress: Progress, say: Say) -> None:
    """Take the times and write them; goes on where it stopped. Waits while another job is timed here.

    Raises UserError where no group fits every contestant, and whatever loading and asking raise.
    """
    lock = Path(tempfile.gettempdir()) / f"branchwise-timing-{os.getuid()}.lock"
    with alone(lock, say, "is timed on this machine") as waited:
        if waited and job.out.is_file() and read_json(job.out, TimesRecord).identity == job.identity:
            say("the other process has taken these times")
            return
        _run(job, progress, say)


def _run(job: TimingJob, progress: Progress, say: Say) -> None:
    threads = job.jobs[0].threads
    torch.set_num_threads(threads)
    started = time.perf_counter()
    contestants = _contestants(job)
    load_s = time.perf_counter() - started
    known, num_broken = read_journal(job.journal)
    if num_broken:
        say(f"warning: {num_broken} unreadable journal lines were left out (a write was cut off)")
    numbers = spread(len(contestants[0].groups), job.timed_groups)
    hardware = provenance.hardware(contestants[0].runner.decoder.device, threads)
    runs: list[TimedRun] = []
    num_unfit = num_resumed = 0
    warm = False
    for done, number in enumerate(numbers, start=1):
        group = contestants[0].groups[number]
        key = _key(job, group)
        if key in known:
            num_resumed += 1
            mine = [TimedRun.model_validate(one) for one in known[key]]
        else:
            if not warm:
                _warm_up(contestants, number)
                warm = True
            mine = _time_group(contestants, number, done - 1, job.repeats, _name(hardware))
            append_journal(job.journal, (key, [one.model_dump(mode="json") for one in mine]))
        num_unfit += not mine
        runs += mine
        progress(done, len(numbers))
    if not runs:
        raise UserError(
            f"none of {len(numbers)} groups fits every strategy that is timed",
            "use a model with a longer context, smaller groups or a smaller max_new_tokens",
        )
    if num_resumed:
        say(f"resumed: {num_resumed} of {len(numbers)} groups came from the journal")
    commit, dirty = provenance.commit()
    decoders = {one.decoder: one.runner.decoder for one in contestants}
    record = TimesRecord(
        dataset=job.jobs[0].cell["dataset"],
        model=job.jobs[0].cell["model"],
        reference=job.reference,
        identity=job.identity,
        versions=provenance.versions(),
        commit=commit,
        dirty=dirty,
        hardware=hardware,
        load_s=load_s,
        resolved={name: decoder.facts() for name, decoder in decoders.items()},
        num_groups=len({run.group for run in runs}),
        num_unfit=num_unfit,
        repeats=job.repeats,
        runs=tuple(runs),
    )
    write_json(job.out, record)
    job.journal.unlink(missing_ok=True)


def _contestants(job: TimingJob) -> list[_Contestant]:
    """All cells, and the reference once more on each decoder that it runs on first."""
    workshop = Workshop()
    found = []
    for one, files in zip(job.jobs, job.files, strict=True):
        groups, before = groups_of(one, files)
        runner, _ = workshop.runner_of(one, unfit_of(before))
        found.append(_Contestant(one.cell["strategy"], one.cell["decoder"], False, runner, groups))
    reference = next(one for one in found if one.strategy == job.reference)
    again = _Contestant(reference.strategy, reference.decoder, True, reference.runner, reference.groups)
    return [*found, again]


def spread(count: int, most: int) -> list[int]:
    """Numbers of at most `most` of `count` groups, evenly over all of them."""
    most = min(count, most)
    return [number * count // most for number in range(most)]


def order(contestants: int, turn: int) -> list[int]:
    """Who runs when in a turn: over every `contestants` turns in a row each comes once in every place.

    The order is drawn anew after that, so that nobody always follows the same one.
    """
    cycle, shift = divmod(turn, contestants)
    drawn = list(range(contestants))
    random.Random(f"order/{cycle}").shuffle(drawn)
    return drawn[shift:] + drawn[:shift]


def _warm_up(contestants: Sequence[_Contestant], number: int) -> None:
    """Everybody once, untimed and to the end; then what lives is set aside for the collector, which
    would otherwise look through all of torch before each run.
    """
    for one in contestants:
        try:
            one.runner.once(one.groups[number])
        except DoesNotFit:
            continue
    set_aside()


def _time_group(
    contestants: Sequence[_Contestant], number: int, turn: int, repeats: int, hardware: str
) -> list[TimedRun]:
    """Every contestant's runs on one group; none where the prompts of one do not fit.

    Where a prefix is kept for all groups, each contestant runs once more, first, with a cold one.
    """

    def timed(index: int, repeat: int, place: int, prefix: Prefix) -> TimedRun:
        one, load = contestants[index], os.getloadavg()[0]
        found = one.runner.once(one.groups[number])
        return TimedRun(
            strategy=one.strategy,
            decoder=one.decoder,
            again=one.again,
            group=one.groups[number].id,
            repeat=repeat,
            prefix=prefix,
            place=place,
            wall_s=found.wall_s,
            ideal_s=found.ideal_s,
            cpu_s=found.cpu_s,
            load=load,
            process=os.getpid(),
            hardware=hardware,
        )

    keeping = [index for index, one in enumerate(contestants) if _shared_tokens(one)]
    runs = []
    try:
        for place, index in enumerate(index for index in keeping if not contestants[index].again):
            with contestants[index].runner.decoder.shared_anew():  # type: ignore[attr-defined]
                runs.append(timed(index, 0, place, "cold"))
        for repeat in range(repeats):
            for place, index in enumerate(order(len(contestants), turn * repeats + repeat)):
                runs.append(timed(index, repeat, place, "warm" if index in keeping else None))
    except DoesNotFit:
        return []
    return runs


def _shared_tokens(one: _Contestant) -> int:
    """Tokens that a contestant's decoder keeps for all groups, once it has been warmed up."""
    return getattr(one.runner.decoder, "num_shared_tokens", 0)


def _key(job: TimingJob, group: Group) -> str:
    content = f"{job.identity.model_dump_json()}\n{group.id}\n{group.model_dump_json()}"
    return hashlib.sha256(content.encode()).hexdigest()


def _name(hardware: Mapping[str, Any]) -> str:
    """Hardware in a few words."""
    return f"{hardware.get('gpu') or hardware['cpu']}, {hardware['threads']} threads"
