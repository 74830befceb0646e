"""`branchwise generate`: one cell, from groups to answers.jsonl and run.json."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    SetOption,
    cell_from,
    experiment_from,
    progress_bar,
)
from branchwise.config import Cell, Experiment
from branchwise.errors import UserError


@command("generate")
def generate(
    dataset: Annotated[str, typer.Option(help="Name in the catalogue of data sets.")],
    model: Annotated[str, typer.Option(help="Name in the catalogue of models.")],
    strategy: Annotated[str, typer.Option(help="Name in the catalogue of strategies.")],
    decoder: Annotated[str, typer.Option(help="Name in the catalogue of decoders.")],
    groups: Annotated[Path, typer.Option(help="File of groups, from `branchwise prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for answers.jsonl and run.json.")],
    journal: Annotated[
        Path | None, typer.Option(help="Where finished groups are kept until all are.")
    ] = None,
    dependencies: Annotated[
        Path | None, typer.Option(help="File of `branchwise depend`, for strategies that follow any.")
    ] = None,
    config: ConfigOption = [],  # noqa: B006 (typer copies it)
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Answer all groups of a data set with one model, strategy and decoder; resumes if killed."""
    experiment = experiment_from(config, setting)
    cell = cell_from(experiment, dataset, model, strategy, decoder)
    journal = journal or out.with_name(f".{out.name}.journal.jsonl")
    run_cell(experiment, cell, groups, out, journal, dependencies)


def run_cell(
    experiment: Experiment,
    cell: Cell,
    groups_path: Path,
    out: Path,
    journal_path: Path,
    dependencies_path: Path | None = None,
) -> None:
    """Run one cell and write its two files, the answers first and run.json last."""
    from branchwise.cells.depending import read_dependencies, with_found
    from branchwise.data.prepare import read_groups, read_preparation
    from branchwise.dependencies.graph import with_edges

    name = experiment.catalogues.strategies[cell.strategy].dependencies
    if (name is None) != (dependencies_path is None):
        raise UserError(
            f"strategy {cell.strategy} follows {name or 'no'} dependencies",
            "give --dependencies, the file of `branchwise depend`"
            if name
            else "leave out --dependencies",
        )
    found = read_dependencies(dependencies_path, name) if dependencies_path and name else {}
    # Without a stage there are none: what the data states is not to be followed by the way.
    groups = [
        with_found(group, found) if name else with_edges(group, []) for group in read_groups(groups_path)
    ]
    started = time.perf_counter()
    import torch

    from branchwise.cells.journal import Journal
    from branchwise.cells.loading import load_model, make_decoder
    from branchwise.cells.runner import GroupRunner, run_groups
    from branchwise.config.hashing import answers_hash, content_hash, folder_hash
    from branchwise.config.settings import resolved_settings
    from branchwise.prompts import PromptStyle
    from branchwise.results import write_json, write_rows
    from branchwise.strategies import load

    torch.set_num_threads(experiment.threads)
    catalogues = experiment.catalogues
    loaded = load_model(catalogues.models[cell.model])
    decoder = make_decoder(catalogues.decoders[cell.decoder], loaded)
    load_s = time.perf_counter() - started
    entry = catalogues.datasets[cell.dataset]
    style = PromptStyle(**{name: getattr(entry, name) for name in PromptStyle.model_fields})
    runner = GroupRunner(
        load(catalogues.strategies[cell.strategy].module),
        decoder,
        loaded.chat,
        style,
        experiment.max_new_tokens,
        experiment.repeats,
    )
    request = {
        "settings": resolved_settings(experiment, cell),
        "code": answers_hash(experiment, cell),
        "model": folder_hash(loaded.folder),
        "device": str(loaded.model.device),
        "dependencies": content_hash(dependencies_path) if dependencies_path else None,
    }
    journal = Journal(journal_path, request)
    warnings: list[str] = []
    console = Console(stderr=True, highlight=False)

    def warn(message: str) -> None:
        if message not in warnings:
            warnings.append(message)
            console.print(f"warning: {message}", markup=False)

    for note in loaded.notes:
        warn(note)
    if reason := getattr(decoder, "one_at_a_time", None):
        warn(f"prompts are asked one at a time: {reason}")
    if journal.num_broken:
        warn(f"{journal.num_broken} unreadable journal lines were left out (a write was cut off)")
    with progress_bar(str(cell)) as progress:
        records, resumed = run_groups(runner, groups, journal, progress, warn, found)
    fallbacks = sum(bool(one.fallback) for one in found.values())
    if fallbacks:
        warn(f"the heuristic stood in for the dependencies of {fallbacks} of {len(found)} groups")
    if resumed:
        console.print(f"resumed: {resumed} of {len(records)} groups came from the journal")
    rows = [row for record in records for row in record.answers]
    record = _run_record(experiment, cell, request, loaded, decoder, records)
    record = record.model_copy(
        update={
            "load_s": load_s,
            "data": read_preparation(groups_path).model_dump(mode="json"),
            "num_resumed": resumed,
            "warnings": tuple(warnings),
        }
    )
    write_rows(out / "answers.jsonl", rows)
    write_json(out / "run.json", record)
    journal.remove()


def _run_record(
    experiment: Experiment, cell: Cell, request: dict, loaded: Any, decoder: Any, records: list
) -> Any:
    """run.json, without what only the caller knows."""
    from branchwise.cells import provenance
    from branchwise.decoding.engine import TreeEngine
    from branchwise.results import RunRecord, Tokens

    runs = tuple(record.run for record in records)
    found = [run.dependencies for run in runs if run.dependencies]
    commit, dirty = provenance.commit()
    device = loaded.model.device
    cache_bytes = None
    settings = request["settings"] | {
        "resolved_dtype": str(loaded.model.dtype).removeprefix("torch."),
        "resolved_device": str(device),
    }
    if isinstance(decoder, TreeEngine):
        cache_bytes = decoder.cache_bytes + decoder.peak_copied_bytes
        settings |= {
            "resolved_kernel": decoder.kernel,
            "kernel_self_test_s": decoder.self_test,
            "resolved_weights": decoder.weight_layout,
        }
    else:
        settings["resolved_batching"] = "one at a time" if decoder.one_at_a_time else "padded batch"
    return RunRecord(
        cell=cell._asdict(),
        settings=settings,
        code_hash=request["code"],
        model_hash=request["model"],
        versions=provenance.versions(),
        commit=commit,
        dirty=dirty,
        hardware=provenance.hardware(device, experiment.threads),
        load_s=0.0,
        peak_memory_mib=round(provenance.peak_memory_mib(device), 1),
        kv_cache_mib=None if cache_bytes is None else round(cache_bytes / 2**20, 3),
        data={},
        num_groups=len(runs),
        num_resumed=0,
        totals=Tokens.total([*(run.tokens for run in runs), *(one.tokens for one in found)]),
        forward_passes=sum(run.forward_passes for run in runs) + sum(one.forward_passes for one in found),
        warnings=(),
        groups=runs,
    )
