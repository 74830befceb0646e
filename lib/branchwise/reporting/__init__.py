"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

from branchwise.config.types import Experiment

TABLES = ("accuracy", "cost", "differences", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
DEPENDENCY_FIGURES = ("dependency_cost", "dependency_gain", "dependency_edges", "dependency_graphs")


def tables_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the tables that an experiment yields; the workflow plans its outputs from them."""
    return (*TABLES, "dependencies") if _follows_any(experiment) else TABLES


def figures_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures that an experiment yields."""
    return (*FIGURES, *DEPENDENCY_FIGURES) if _follows_any(experiment) else FIGURES


def _follows_any(experiment: Experiment) -> bool:
    """Whether some strategy follows dependencies."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.dependencies for strategy in strategies)
