"""From an experiment to the job of one cell."""

from typing import Any

from branchwise.cells.job import CellJob
from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity
from branchwise.data.style import PromptStyle


def style_of(dataset: Any) -> PromptStyle:
    """The words that a data set's entry puts around its questions."""
    return PromptStyle(**{name: getattr(dataset, name) for name in PromptStyle.model_fields})


def job_of(experiment: Experiment, cell: Cell, strict: bool = False) -> CellJob:
    """Everything that a cell is told: its entries, its budget, and what it is."""
    catalogues = experiment.catalogues
    dataset, strategy = catalogues.datasets[cell.dataset], catalogues.strategies[cell.strategy]
    named = {role: getattr(experiment.roles, role) for role in strategy.asks}
    return CellJob(
        cell=cell._asdict(),
        identity=cell_identity(experiment, cell),
        style=style_of(dataset),
        model=catalogues.models[cell.model],
        strategy=strategy,
        decoder=catalogues.decoders[cell.decoder],
        max_new_tokens=experiment.max_new_tokens,
        threads=experiment.threads,
        roles={role: catalogues.models[model] for role, model in named.items() if model},
        groups_in_flight=experiment.groups_in_flight,
        strict=strict,
    )
