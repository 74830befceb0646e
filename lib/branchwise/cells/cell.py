"""One cell, from groups to answers.jsonl, trace.jsonl and run.json; it goes on where it stopped.

This module and what it imports, with the strategy and the decoder that a job names, are the code that a
cell's answers depend on (`branchwise.config.hashing`): nothing of the config or the commands is imported
here, since all that they decide is in the job.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch

from branchwise.cells import provenance
from branchwise.cells.flight import Flight, Found, run_groups
from branchwise.cells.found import unfit_of
from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.journal import Journal
from branchwise.cells.making import Workshop, groups_of
from branchwise.cells.serving import said_of, served_run
from branchwise.data.groups_file import read_preparation
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import UserError
from branchwise.files import file_hash
from branchwise.locks import alone
from branchwise.results import RunRecord, read_json, write_json, write_rows
from branchwise.stages import STAGES, GroupDependencies, GroupParaphrases, StageRow
from branchwise.trace import ANSWERER, Tokens

Progress = Callable[..., None]
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
    groups, found = groups_of(job, files)
    warnings: list[str] = []

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            say(f"warning: {message}")

    torch.set_num_threads(job.threads)
    started = time.perf_counter()
    runner, sources = Workshop().runner_of(job, unfit_of(found))
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
    _check_some_fit(job, flight)
    for message in _shortcomings(found):
        warn(message)
    if flight.num_resumed:
        say(f"resumed: {flight.num_resumed} of {len(groups)} groups came from the journal")
    records = flight.records
    about = job.identity.about(job.cell)
    write_rows(files.out / "answers.jsonl", [row for record in records for row in record.answers], about)
    write_rows(files.out / "trace.jsonl", [record.trace for record in records], about)
    facts = {"load_s": load_s, "warnings": tuple(warnings)}
    record = _run_record(job, files, sources, runner.decoder, flight, facts)
    if record.served is not None:
        say(said_of(record.served))
    write_json(files.out / "run.json", record)
    journal.remove()


def _shortcomings(found: Found) -> Iterator[str]:
    """What a reader must know of what the stages before have found."""
    rows = [one for before in found.values() for one in before]
    dependencies = [one for one in rows if isinstance(one, GroupDependencies)]
    if fallbacks := sum(bool(one.fallback) for one in dependencies):
        yield f"the heuristic stood in for the dependencies of {fallbacks} of {len(dependencies)} groups"
    if missing := _paraphrase_counts(rows).get("missing"):
        yield f"{missing} paraphrases are missing: what was drawn for them was dropped"


def _paraphrase_counts(rows: Iterable[StageRow]) -> dict[str, int]:
    """How many paraphrases were kept, are missing, and were dropped, by reason."""
    counts: Counter[str] = Counter()
    for one in rows:
        if isinstance(one, GroupParaphrases):
            counts.update(one.counts())
    return dict(counts)


def _check_some_fit(job: CellJob, flight: Flight) -> None:
    """Raises UserError for a cell in which nothing could be asked."""
    if not flight.records:
        raise UserError(
            f"cell {job.label}: no group fits the model; {flight.left_out[0].reason}",
            "use a model with a longer context, smaller groups or a smaller max_new_tokens, or exclude "
            "the cell",
        )


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
    runs = tuple(record.run for record in flight.records)
    before = [one for run in runs for one in run.before]
    commit, dirty = provenance.commit()
    resolved = {"device": str(decoder.device), **decoder.facts()}
    answerer = sources[ANSWERER]
    if answerer.is_loaded:
        resolved |= {"dtype": str(answerer.loaded.model.dtype).removeprefix("torch.")}
        resolved |= {"model_origin": answerer.loaded.origin} if answerer.loaded.origin else {}
        resolved |= {"checkpoint": answerer.trained} if answerer.trained else {}
    cache_bytes = decoder.kv_cache_bytes
    by_role = [run.tokens_by_role for run in runs]
    roles = dict.fromkeys(role for one in by_role for role in one)
    totals = {role: Tokens.total(one[role] for one in by_role if role in one) for role in roles}
    for stage in dict.fromkeys(one.stage for one in before):
        totals[stage] = Tokens.total(one.tokens for one in before if one.stage == stage)
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
        num_groups=len(runs),
        num_resumed=flight.num_resumed,
        left_out=flight.left_out,
        totals=Tokens.total(totals.values()).with_computed(getattr(decoder, "num_shared_tokens", 0)),
        totals_by_role=totals,
        served=served_run(flight.records, (job.model, *job.roles.values())),
        forward_passes=sum(one.forward_passes for one in (*runs, *before)),
        paraphrases=_paraphrase_counts(before),
        groups=runs,
        **facts,
    )
