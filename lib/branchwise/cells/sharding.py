"""A cell that several jobs answer, each some of its groups; merged, it is what one job would have made.

A group's answers and ledger depend on nothing but the group, so that only times and what belongs to a
machine differ. A shard's folder holds records.jsonl (a line a group) and run.json.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.totals import totals_of
from branchwise.data.groups_file import read_groups
from branchwise.errors import UserError
from branchwise.files import file_hash, value_hash
from branchwise.results import (
    GroupRecord,
    RunRecord,
    ShardRun,
    read_json,
    read_rows,
    write_json,
    write_rows,
)

RECORDS = "records.jsonl"


def write_shard(folder: Path, job: CellJob, records: Sequence[GroupRecord], run: RunRecord) -> None:
    """Write a shard's folder, run.json last."""
    write_rows(folder / RECORDS, records, job.identity.about(job.cell))
    write_json(folder / "run.json", run)


def write_cell(folder: Path, job: CellJob, records: Sequence[GroupRecord], run: RunRecord) -> None:
    """Write a cell's folder, run.json last."""
    about = job.identity.about(job.cell)
    write_rows(folder / "answers.jsonl", [row for record in records for row in record.answers], about)
    write_rows(folder / "trace.jsonl", [record.trace for record in records], about)
    write_json(folder / "run.json", run)


def merge_shards(
    job: CellJob, files: CellFiles, parts: Sequence[Path], say: Callable[[str], None]
) -> None:
    """Make a cell of the folders of its shards; `say` hears what differs between them.

    Raises UserError where they are not all of this cell, or groups are missing.
    """
    runs = [read_json(part / "run.json", RunRecord) for part in parts]
    for part, run in zip(parts, runs, strict=True):
        _check(job, part, run)
    about = job.identity.about(job.cell)
    found = {r.run.id: r for part in parts for r in read_rows(part / RECORDS, GroupRecord, about)}
    left_out = {one.group: one for run in runs for one in run.left_out}
    groups = [one.id for one in read_groups(files.groups, value_hash(job.identity.settings["groups"]))]
    if missing := [name for name in groups if name not in found and name not in left_out]:
        raise UserError(
            f"{len(missing)} of {len(groups)} groups of cell {job.label} are in no shard, the first: "
            f"{missing[0]}",
            "give the folders of all shards, made from the same groups",
        )
    records = [found[name] for name in groups if name in found]
    if not records:
        raise nothing_fits(job, runs[0].left_out[0].reason)
    merged = _merged(runs, records)
    differences = tuple(_differences([one for one in runs if one.num_groups]))
    for difference in differences:
        say(f"warning: {difference}")
    run = merged.model_copy(
        update={
            "warnings": (*merged.warnings, *differences),
            "left_out": tuple(left_out[name] for name in groups if name in left_out),
        }
    )
    write_cell(files.out, job, records, run)


def is_ready(files: CellFiles) -> bool:
    """Whether another job has left something for the cell."""
    return files.ready is not None and (files.ready / "run.json").is_file()


def take_ready(job: CellJob, files: CellFiles, say: Callable[[str], None]) -> bool:
    """Make the cell of what another job has left for it; False where that is nothing, or is not made of
    these groups with these settings and this code. It is gone afterwards.
    """
    if files.ready is None or job.shard is not None or not is_ready(files):
        return False
    try:
        run = read_json(files.ready / "run.json", RunRecord)
        is_of_groups = run.data.get("groups_hash") == file_hash(files.groups)
        if is_of_groups:
            merge_shards(job, files, [files.ready], say)
    except UserError as error:
        say(f"what another job has left is not used: {error.problem}")
        is_of_groups = False
    shutil.rmtree(files.ready)
    return is_of_groups


def nothing_fits(job: CellJob, reason: str) -> UserError:
    """What is wrong with a cell in which nothing could be asked."""
    return UserError(
        f"cell {job.label}: no group fits the model; {reason}",
        "use a model with a longer context, smaller groups or a smaller max_new_tokens, or exclude the "
        "cell",
    )


def _check(job: CellJob, part: Path, run: RunRecord) -> None:
    if run.cell != job.cell or run.identity != job.identity:
        raise UserError(
            f"{part} is no shard of cell {job.label} with these settings and this code",
            "remove it and run `snakemake`",
        )


def _merged(runs: Sequence[RunRecord], records: Sequence[GroupRecord]) -> RunRecord:
    """One record of all: sums over the groups, the largest memory, and times as if one after another."""
    # One without groups knows less of its decoder.
    first = next(run for run in runs if run.num_groups)
    shared = max(int(run.resolved.get("shared_prompt_tokens", 0)) for run in runs)
    warnings = dict.fromkeys(warning for run in runs for warning in run.warnings)
    caches = [run.kv_cache_mib for run in runs if run.kv_cache_mib is not None]
    return first.model_copy(
        update={
            "load_s": sum(run.load_s for run in runs),
            "makespan_s": sum(run.makespan_s for run in runs),
            "peak_memory_mib": max(run.peak_memory_mib for run in runs),
            "kv_cache_mib": max(caches, default=None),
            "dirty": any(run.dirty for run in runs) if first.dirty is not None else None,
            "num_resumed": sum(run.num_resumed for run in runs),
            "warnings": tuple(warnings),
            "shards": tuple(
                ShardRun(
                    num_groups=run.num_groups,
                    makespan_s=run.makespan_s,
                    load_s=run.load_s,
                    resolved=run.resolved,
                    hardware=run.hardware,
                )
                for run in runs
            ),
            **totals_of([record.run for record in records], shared),
        }
    )


def _differences(runs: Sequence[RunRecord]) -> Iterator[str]:
    """What a reader must know of shards that were not made alike."""
    for name in ("versions", "commit"):
        if others := sum(getattr(run, name) != getattr(runs[0], name) for run in runs):
            yield f"{name} of {others} of {len(runs)} shards are not the first's"
    kinds = {
        json.dumps({k: v for k, v in run.resolved.items() if k.startswith("resolved_") or k == "device"})
        for run in runs
    }
    if len(kinds) > 1:
        yield f"the shards were computed in {len(kinds)} ways: {'; '.join(sorted(kinds))}"
