"""From an experiment to the job of one cell."""

from collections.abc import Iterator
from contextlib import contextmanager

from branchwise.cells.job import CellJob
from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity
from branchwise.data.style import PromptStyle
from branchwise.errors import UserError


def job_of(experiment: Experiment, cell: Cell) -> CellJob:
    """Everything that a cell is told: its entries, its budget, and what it is."""
    catalogues = experiment.catalogues
    dataset, strategy = catalogues.datasets[cell.dataset], catalogues.strategies[cell.strategy]
    named = {role: getattr(experiment.roles, role) for role in strategy.asks}
    return CellJob(
        cell=cell._asdict(),
        identity=cell_identity(experiment, cell),
        style=PromptStyle(**{name: getattr(dataset, name) for name in PromptStyle.model_fields}),
        model=catalogues.models[cell.model],
        strategy=strategy,
        decoder=catalogues.decoders[cell.decoder],
        max_new_tokens=experiment.max_new_tokens,
        repeats=experiment.repeats,
        threads=experiment.threads,
        roles={role: catalogues.models[model] for role, model in named.items() if model},
    )


@contextmanager
def naming(experiment: Experiment, cell: Cell) -> Iterator[None]:
    """An error inside of it that is about a model's folder names the file that the entry comes from."""
    try:
        yield
    except UserError as error:
        if "`path:`" not in error.remedy:
            raise
        where = experiment.origin("models", cell.model)
        raise UserError(f"model {cell.model} of {where}: {error.problem}", error.remedy) from error
