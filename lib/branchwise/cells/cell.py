"""One cell, from groups to answers.jsonl, trace.jsonl and run.json; it goes on where it stopped.

This module and what it imports, with the strategy and the decoder that a job names, are the code that a
cell's answers depend on (`branchwise.config.hashing`): nothing of the config or the commands is imported
here, since all that they decide is in the job.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from branchwise.cells import provenance
from branchwise.cells.desk import Asked
from branchwise.cells.found import read_dependencies, with_found
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner, run_groups
from branchwise.data.groups_file import read_groups, read_preparation
from branchwise.data.types import Group
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.source import ModelSource
from branchwise.dependencies.graph import with_edges
from branchwise.errors import UserError
from branchwise.files import file_hash, value_hash
from branchwise.locks import alone
from branchwise.results import (
    GroupDependencies,
    GroupRecord,
    RunRecord,
    read_json,
    write_json,
    write_rows,
)
from branchwise.strategies import load
from branchwise.trace import ANSWERER, Tokens

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


def run_cell(job: CellJob, files: CellFiles, progress: Progress, say: Say) -> None:
    """Run one cell and write its files, run.json last; `say` hears warnings and what was resumed.

    Raises UserError for files that do not fit, and whatever loading and asking raise.
    """
    with alone(files.journal.with_suffix(".lock"), say) as waited:
        if waited and _is_done(job, files):
            say("the other process has finished it")
            return
        _run(job, files, progress, say)


def _is_done(job: CellJob, files: CellFiles) -> bool:
    path = files.out / "run.json"
    return path.is_file() and read_json(path, RunRecord).identity == job.identity


def _run(job: CellJob, files: CellFiles, progress: Progress, say: Say) -> None:
    groups, found = _groups(job, files)
    warnings: list[str] = []

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            say(f"warning: {message}")

    torch.set_num_threads(job.threads)
    runner, sources, load_s = _runner(job)
    for source in sources.values():
        for note in source.loaded.notes if source.is_loaded else ():
            warn(note)
    for note in runner.decoder.notes:
        warn(note)
    journal = Journal(files.journal, _request(job, files, sources))
    if journal.num_broken:
        warn(f"{journal.num_broken} unreadable journal lines were left out (a write was cut off)")
    records, resumed = run_groups(runner, groups, journal, progress, warn, found)
    if fallbacks := sum(bool(one.fallback) for one in found.values()):
        warn(f"the heuristic stood in for the dependencies of {fallbacks} of {len(found)} groups")
    if resumed:
        say(f"resumed: {resumed} of {len(records)} groups came from the journal")
    about = job.identity.about(job.cell)
    write_rows(files.out / "answers.jsonl", [row for record in records for row in record.answers], about)
    write_rows(files.out / "trace.jsonl", [record.trace for record in records], about)
    facts = {"load_s": load_s, "num_resumed": resumed, "warnings": tuple(warnings)}
    write_json(files.out / "run.json", _run_record(job, files, sources, runner.decoder, records, facts))
    journal.remove()


def _groups(job: CellJob, files: CellFiles) -> tuple[list[Group], dict[str, GroupDependencies]]:
    """The groups with the dependencies that are to be followed, and how these were found."""
    name = job.strategy.dependencies
    if (name is None) != (files.dependencies is None):
        raise UserError(
            f"strategy {job.cell['strategy']} follows {name or 'no'} dependencies",
            "give --dependencies, the file of `branchwise depend`"
            if name
            else "leave out --dependencies",
        )
    groups = read_groups(files.groups, value_hash(job.identity.settings["groups"]))
    if name is None or files.dependencies is None:
        # Without a stage there are none: what the data states is not to be followed by the way.
        return [with_edges(group, []) for group in groups], {}
    wanted = value_hash(job.identity.settings["dependencies"])
    found = read_dependencies(files.dependencies, name, wanted)
    return [with_found(group, found) for group in groups], found


def _runner(job: CellJob) -> tuple[GroupRunner, dict[str, ModelSource], float]:
    """The runner, the models by role, and how long loading took."""
    started = time.perf_counter()
    checkpoint = Path(job.strategy.checkpoint) if job.strategy.checkpoint else None
    sources = {ANSWERER: ModelSource(job.model, checkpoint)}
    sources |= {role: ModelSource(entry) for role, entry in job.roles.items()}
    decoders = {role: job.decoder.make(source) for role, source in sources.items()}
    runner = GroupRunner(
        load(job.strategy.module, job.strategy.options),
        decoders.pop(ANSWERER),
        sources[ANSWERER].chat,
        job.style,
        job.max_new_tokens,
        job.repeats,
        frozenset(job.strategy.needs),
        {role: Asked(decoder, sources[role].chat) for role, decoder in decoders.items()},
    )
    return runner, sources, time.perf_counter() - started


def _request(job: CellJob, files: CellFiles, sources: dict[str, ModelSource]) -> dict[str, Any]:
    """Everything that a finished group's record depends on, beside the group."""
    return {
        "identity": job.identity.model_dump(mode="json"),
        # Of a hub model the files that were loaded count, whatever revision the entry names.
        "models": _model_files(sources),
        "devices": {
            role: str(source.loaded.model.device) for role, source in sources.items() if source.is_loaded
        },
        "dependencies": file_hash(files.dependencies) if files.dependencies else None,
    }


def _model_files(sources: dict[str, ModelSource]) -> dict[str, str | None]:
    return {role: source.files_hash for role, source in sources.items()}


def _run_record(
    job: CellJob,
    files: CellFiles,
    sources: dict[str, ModelSource],
    decoder: Decoder,
    records: Sequence[GroupRecord],
    facts: dict[str, Any],
) -> RunRecord:
    runs = tuple(record.run for record in records)
    found = [run.dependencies for run in runs if run.dependencies]
    commit, dirty = provenance.commit()
    resolved = {"device": str(decoder.device), **decoder.facts()}
    answerer = sources[ANSWERER]
    if answerer.is_loaded:
        resolved |= {"dtype": str(answerer.loaded.model.dtype).removeprefix("torch.")}
    cache_bytes = decoder.kv_cache_bytes
    by_role = [run.tokens_by_role for run in runs]
    roles = dict.fromkeys(role for one in by_role for role in one)
    totals = {role: Tokens.total(one[role] for one in by_role if role in one) for role in roles}
    if found:
        totals["dependencies"] = Tokens.total(one.tokens for one in found)
    return RunRecord(
        cell=job.cell,
        identity=job.identity,
        resolved=resolved,
        model_files=_model_files(sources),
        versions=provenance.versions(),
        commit=commit,
        dirty=dirty,
        hardware=provenance.hardware(decoder.device, job.threads),
        peak_memory_mib=round(provenance.peak_memory_mib(decoder.device), 1),
        kv_cache_mib=None if cache_bytes is None else round(cache_bytes / 2**20, 3),
        data={
            **read_preparation(files.groups).model_dump(mode="json"),
            "groups_hash": file_hash(files.groups),
        },
        num_groups=len(runs),
        totals=Tokens.total(totals.values()),
        totals_by_role=totals,
        forward_passes=sum(run.forward_passes for run in runs) + sum(one.forward_passes for one in found),
        groups=runs,
        **facts,
    )
