"""From an experiment to the job of one cell."""

from pathlib import Path

from branchwise.cells.job import CellJob, Shard
from branchwise.commands.prompting import style_of
from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity
from branchwise.config.trainings import checkpoint_folder, training_of
from branchwise.errors import UserError


def job_of(experiment: Experiment, cell: Cell, strict: bool = False, shard: str | None = None) -> CellJob:
    """Everything that a cell is told: its entries, its budget, and what it is; `shard` as "2/4".

    Raises UserError for shards of a cell that a server answers: it has one queue.
    """
    if shard is not None and experiment.catalogues.decoders[cell.decoder].is_remote:
        raise UserError(f"cell {cell} is answered by a server", "leave out --shard; set `concurrency`")
    catalogues = experiment.catalogues
    dataset, strategy = catalogues.datasets[cell.dataset], catalogues.strategies[cell.strategy]
    model = catalogues.models[cell.model]
    named = {role: getattr(experiment.roles, role) for role in strategy.asks}
    return CellJob(
        cell=cell._asdict(),
        identity=cell_identity(experiment, cell),
        style=style_of(experiment, dataset, model),
        model=model,
        strategy=strategy,
        decoder=catalogues.decoders[cell.decoder],
        max_new_tokens=experiment.max_new_tokens,
        threads=experiment.threads,
        roles={role: catalogues.models[model] for role, model in named.items() if model},
        checkpoint=checkpoint_folder(experiment, cell.strategy, cell.model),
        training=training_of(experiment, cell.strategy),
        groups_in_flight=experiment.groups_in_flight,
        strict=strict,
        replies=Path(experiment.replies_folder),
        shard=Shard.parse(shard) if shard else None,
    )
