"""Cells that a job answers beside its own while it has their model loaded."""

from collections.abc import Iterator
from pathlib import Path

from branchwise.cells.job import CellFiles
from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_folder, groups_file
from branchwise.config.stages import needed_by
from branchwise.config.trainings import checkpoint_folder
from branchwise.status.traces import holder_of


def ready_folder(experiment: Experiment, cell: Cell) -> Path:
    """Where a job leaves a cell that it has answered for another one, as its only shard."""
    return Path(experiment.results, "shards", cell_folder(experiment, cell), "1-of-1")


def others(experiment: Experiment, cell: Cell) -> Iterator[tuple[Cell, CellFiles]]:
    """Cells of the same model and decoder that nobody has answered or is answering, with their files; up
    to `together` of them, the cell itself among these.

    Only such as need nothing but groups that are there: what else a cell needs may still have to be made.
    From the last on, since jobs begin with the first.
    """
    left = experiment.together - 1
    if experiment.catalogues.decoders[cell.decoder].is_remote:
        return
    for other in reversed(experiment.cells):
        if left < 1:
            return
        is_alike = (other.model, other.decoder) == (cell.model, cell.decoder) and other != cell
        if is_alike and needs_groups_alone(experiment, other):
            folder = cell_folder(experiment, other)
            files = CellFiles(
                groups_file(experiment, other.dataset),
                ready_folder(experiment, other),
                Path(experiment.results, "journal", folder).with_suffix(".jsonl"),
            )
            done = Path(experiment.cells_folder, folder, "run.json")
            is_free = not done.exists() and not files.out.exists() and files.groups.is_file()
            if is_free and holder_of(files.journal.with_suffix(".lock")) is None:
                left -= 1
                yield other, files


def needs_groups_alone(experiment: Experiment, cell: Cell) -> bool:
    """Whether a cell needs neither a stage before it nor a checkpoint, nor another model."""
    entry = experiment.catalogues.strategies[cell.strategy]
    asks_others = any(getattr(experiment.roles, role) for role in entry.asks)
    before = list(needed_by(experiment, cell.strategy))
    return not before and not asks_others and not checkpoint_folder(experiment, cell.strategy, cell.model)
