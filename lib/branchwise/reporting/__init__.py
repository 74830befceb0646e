"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

from branchwise.config.types import Experiment

TABLES = ("accuracy", "cost", "differences", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
TIMED_FIGURES = frozenset({"latency_by_size", "quality_latency", "dependency_cost"})
"""Those that show times: there are none of them where an experiment times no groups."""
DEPENDENCY_FIGURES = ("dependency_cost", "dependency_gain", "dependency_edges", "dependency_graphs")


def tables_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the tables that an experiment yields; the workflow plans its outputs from them."""
    return (*TABLES, "dependencies") if _follows_any(experiment) else TABLES


def figures_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures that an experiment yields."""
    names = (*FIGURES, *DEPENDENCY_FIGURES) if _follows_any(experiment) else FIGURES
    return tuple(name for name in names if experiment.timed_groups or name not in TIMED_FIGURES)


def _follows_any(experiment: Experiment) -> bool:
    """Whether some strategy follows dependencies."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.dependencies for strategy in strategies)
