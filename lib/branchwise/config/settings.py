"""What of a config one cell depends on."""

import json
from typing import Any

from branchwise.config.types import Cell, Experiment


def resolved_settings(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    """Everything in the config that a cell's answers depend on, and nothing else, as JSON data.

    Snakemake compares it between runs, the journal is keyed by it, and run.json records it.
    """
    catalogues = experiment.catalogues
    without_label = {"mode": "json", "exclude": {"label"}}
    return {
        "dataset": catalogues.datasets[cell.dataset].model_dump(mode="json"),
        "model": catalogues.models[cell.model].model_dump(**without_label),
        "strategy": catalogues.strategies[cell.strategy].model_dump(**without_label),
        "decoder": catalogues.decoders[cell.decoder].model_dump(**without_label),
        "max_new_tokens": experiment.max_new_tokens,
        "repeats": experiment.repeats,
        "threads": experiment.threads,
    }


def as_param(value: Any) -> str:
    """A value as one stable line, for Snakemake's params."""
    return json.dumps(value, sort_keys=True)
