"""What of a config one cell depends on."""

import json
from functools import cache
from typing import Any

from branchwise.config.types import Cell, Experiment
from branchwise.data.types import Record


def resolved_settings(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    """Everything in the config that a cell's answers depend on, and nothing else, as JSON data.

    Snakemake compares it between runs, the journal is keyed by it, and run.json records it.
    """
    catalogues = experiment.catalogues
    strategy = catalogues.strategies[cell.strategy]
    dependencies = catalogues.dependencies[strategy.dependencies] if strategy.dependencies else None
    return {
        "dependencies": _plain(dependencies) if dependencies else None,
        "dataset": _plain(catalogues.datasets[cell.dataset]),
        "model": _plain(catalogues.models[cell.model]),
        "strategy": _plain(strategy),
        "decoder": _plain(catalogues.decoders[cell.decoder]),
        "max_new_tokens": experiment.max_new_tokens,
        "repeats": experiment.repeats,
        "threads": experiment.threads,
    }


@cache
def _plain(entry: Record) -> dict[str, Any]:
    """An entry as JSON data, without what only decides how it is printed."""
    return entry.model_dump(mode="json", by_alias=True, exclude={"label"})


def as_param(value: Any) -> str:
    """A value as one stable line, for Snakemake's params."""
    return json.dumps(value, sort_keys=True)
