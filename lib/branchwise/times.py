"""The file of a timing job, typed: one row a strategy, group and repeat. Torch-free."""

import statistics
from typing import Any, Literal

from pydantic import Field

from branchwise.records import Record
from branchwise.results import Identity

TIMES_VERSION: Literal[1] = 1


class TimedRun(Record):
    """One timed run of a group, and what it ran on."""

    strategy: str
    decoder: str
    again: bool = Field(False, description="The A/A run: the reference, timed as if it were another.")
    group: str
    repeat: int
    prefix: Literal["warm", "cold"] | None = Field(
        None,
        description="What prompts of all groups begin with (instruction, shots) was computed before "
        "(warm) or in this run (cold); null: nothing of the kind is kept.",
    )
    place: int = Field(description="Which of the runs of this group and repeat it was, from 0.")
    wall_s: float = Field(description="From the first prompt rendered to the last answer known.")
    ideal_s: float = Field(description="Critical path of this very run: unbounded machines.")
    cpu_s: float = Field(description="CPU time of the process in wall_s, of all threads.")
    load: float = Field(description="Load average of the machine over a minute, before the run.")
    process: int = Field(description="The process that measured: a resumed job has several.")
    hardware: str = Field(description="Processor or GPU, and threads.")


class TimesRecord(Record):
    """The times of one data set and model: of all strategies on one decoder, or of one on all."""

    schema_version: Literal[1] = TIMES_VERSION
    dataset: str
    model: str
    reference: str = Field(description="Strategy that the A/A runs repeat.")
    identity: Identity
    versions: dict[str, str]
    commit: str | None
    dirty: bool | None
    hardware: dict[str, Any] = Field(description="Of the process that finished the job.")
    load_s: float = Field(description="Loading models; in no other time.")
    resolved: dict[str, dict[str, Any]] = Field(description="What each decoder chose by itself.")
    num_groups: int = Field(description="Groups timed, spread evenly over the file.")
    num_unfit: int = Field(description="Groups passed over: some strategy's prompts do not fit.")
    repeats: int
    runs: tuple[TimedRun, ...]


class GroupTime(Record):
    """A group's median run: its wall time, and the critical path of the same run, in seconds."""

    wall_s: float
    ideal_s: float


def medians(runs: tuple[TimedRun, ...]) -> dict[tuple[str, str, bool], dict[str, GroupTime]]:
    """(strategy, decoder, again) -> group -> its run of median wall time, with a warm prefix where one
    is kept: that is what a server gives.
    """
    found: dict[tuple[str, str, bool], dict[str, list[TimedRun]]] = {}
    for run in runs:
        if run.prefix == "cold":
            continue
        key = (run.strategy, run.decoder, run.again)
        found.setdefault(key, {}).setdefault(run.group, []).append(run)
    return {
        key: {group: _middle(mine) for group, mine in groups.items()} for key, groups in found.items()
    }


def cold_costs(runs: tuple[TimedRun, ...]) -> dict[tuple[str, str], float]:
    """(strategy, decoder) -> median over groups of what a cold prefix takes beyond the median warm run,
    in seconds.
    """
    warm = medians(runs)
    found: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        if run.prefix == "cold":
            key = run.strategy, run.decoder
            found.setdefault(key, []).append(run.wall_s - warm[*key, False][run.group].wall_s)
    return {key: statistics.median(each) for key, each in found.items()}


def _middle(runs: list[TimedRun]) -> GroupTime:
    wall_s = statistics.median_low([run.wall_s for run in runs])
    chosen = next(run for run in runs if run.wall_s == wall_s)
    return GroupTime(wall_s=chosen.wall_s, ideal_s=chosen.ideal_s)
