"""One cell, from groups to answers.jsonl, trace.jsonl and run.json; it goes on where it stopped.

This module and what it imports, with the strategy and the decoder that a job names, are the code that a
cell's answers depend on (`branchwise.config.hashing`): nothing of the config or the commands is imported
here, since all that they decide is in the job.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from branchwise.cells import provenance
from branchwise.cells.flight import Flight, Found, run_groups
from branchwise.cells.found import unfit_of
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.journal import Journal
from branchwise.cells.making import Workshop, groups_of
from branchwise.cells.serving import said_of, served_run
from branchwise.cells.sharding import nothing_fits, take_ready, write_cell, write_shard
from branchwise.cells.totals import paraphrase_counts, totals_of
from branchwise.data.groups_file import read_preparation
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.source import ModelSource
from branchwise.files import file_hash
from branchwise.locks import alone
from branchwise.results import RunRecord, read_json
from branchwise.stages import STAGES, GroupDependencies
from branchwise.trace import ANSWERER

Progress = Callable[..., None]
Say = Callable[[str], None]


def run_cell(
    job: CellJob, files: CellFiles, progress: Progress, say: Say, workshop: Workshop | None = None
) -> None:
    """Run one cell and write its files, run.json last; `say` hears warnings and what was resumed. Its
    models are loaded by `workshop`, if that has not loaded them already.

    Raises UserError for files that do not fit, and whatever loading and asking raise.
    """
    with alone(files.journal.with_suffix(".lock"), say) as waited:
        if waited and _is_done(job, files):
            say("the other process has finished it")
            return
        if take_ready(job, files, say):
            return
        _run(job, files, progress, say, workshop or Workshop())


def _is_done(job: CellJob, files: CellFiles) -> bool:
    path = files.out / "run.json"
    return path.is_file() and read_json(path, RunRecord).identity == job.identity


def _run(job: CellJob, files: CellFiles, progress: Progress, say: Say, workshop: Workshop) -> None:
    provenance.forget_peak_memory()
    groups, found = groups_of(job, files)
    if job.shard is not None:
        groups = job.shard.of_groups(groups)
    warnings: list[str] = []

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            say(f"warning: {message}")

    torch.set_num_threads(job.threads)
    started = time.perf_counter()
    runner, sources = workshop.runner_of(job, unfit_of(found))
    load_s = time.perf_counter() - started
    for source in sources.values():
        for note in source.loaded.notes if source.is_loaded else ():
            warn(note)
    for note in runner.decoder.notes:
        warn(note)
    journal = Journal(files.journal, _request(job, files, sources))
    if journal.num_broken:
        warn(f"{journal.num_broken} unreadable journal lines were left out (a write was cut off)")
    flight = run_groups(runner, groups, journal, progress, warn, found, job.groups_in_flight, job.strict)
    if not flight.records and job.shard is None:
        raise nothing_fits(job, flight.left_out[0].reason)
    for message in _shortcomings(found):
        warn(message)
    if flight.num_resumed:
        say(f"resumed: {flight.num_resumed} of {len(groups)} groups came from the journal")
    facts = {"load_s": load_s, "warnings": tuple(warnings)}
    record = _run_record(job, files, sources, runner.decoder, flight, facts)
    if record.served is not None:
        say(said_of(record.served))
    write = write_cell if job.shard is None else write_shard
    write(files.out, job, flight.records, record)
    journal.remove()


def _shortcomings(found: Found) -> Iterator[str]:
    """What a reader must know of what the stages before have found."""
    rows = [one for before in found.values() for one in before]
    dependencies = [one for one in rows if isinstance(one, GroupDependencies)]
    if fallbacks := sum(bool(one.fallback) for one in dependencies):
        yield f"the heuristic stood in for the dependencies of {fallbacks} of {len(dependencies)} groups"
    if missing := paraphrase_counts(rows).get("missing"):
        yield f"{missing} paraphrases are missing: what was drawn for them was dropped"


def _request(job: CellJob, files: CellFiles, sources: dict[str, ModelSource]) -> dict[str, Any]:
    """Everything that a finished group's record depends on, beside the group."""
    return {
        "identity": job.identity.model_dump(mode="json"),
        # Of a hub model the files that were loaded count, whatever revision the entry names.
        "models": _model_files(sources),
        "devices": {
            role: str(source.loaded.model.device) for role, source in sources.items() if source.is_loaded
        },
        **{one.stage: file_hash(path) for one in STAGES if (path := files.of_stage(one.stage))},
    }


def _model_files(sources: dict[str, ModelSource]) -> dict[str, str | None]:
    return {role: source.files_hash for role, source in sources.items()}


def _run_record(
    job: CellJob,
    files: CellFiles,
    sources: dict[str, ModelSource],
    decoder: Decoder,
    flight: Flight,
    facts: dict[str, Any],
) -> RunRecord:
    commit, dirty = provenance.commit()
    resolved = {"device": str(decoder.device), **decoder.facts()}
    answerer = sources[ANSWERER]
    if answerer.is_loaded:
        resolved |= {"dtype": str(answerer.loaded.model.dtype).removeprefix("torch.")}
        resolved |= {"model_origin": answerer.loaded.origin} if answerer.loaded.origin else {}
        resolved |= {"checkpoint": answerer.trained} if answerer.trained else {}
    cache_bytes = decoder.kv_cache_bytes
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
        makespan_s=flight.makespan_s,
        groups_in_flight=flight.groups_in_flight,
        num_resumed=flight.num_resumed,
        left_out=flight.left_out,
        served=served_run(flight.records, (job.model, *job.roles.values())),
        **totals_of([record.run for record in flight.records], getattr(decoder, "num_shared_tokens", 0)),
        **facts,
    )
