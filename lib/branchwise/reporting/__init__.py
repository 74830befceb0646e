"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

from branchwise.config.types import Experiment
from branchwise.reporting.names import families_by_size

TABLES = ("accuracy", "cost", "differences", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
FIGURES_BY_SIZE = ("accuracy_by_size", "latency_by_size")
DEPENDENCY_FIGURES = ("dependency_cost", "dependency_gain", "dependency_edges", "dependency_graphs")


def tables_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the tables that an experiment yields; the workflow plans its outputs from them."""
    return (*TABLES, "dependencies") if _follows_any(experiment) else TABLES


def figures_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures that an experiment yields: none over the size of groups where no data set
    has several sizes, none of dependencies where no strategy follows any.
    """
    sized = families_by_size(experiment.datasets)
    names = tuple(name for name in FIGURES if sized or name not in FIGURES_BY_SIZE)
    return (*names, *DEPENDENCY_FIGURES) if _follows_any(experiment) else names


def _follows_any(experiment: Experiment) -> bool:
    """Whether some strategy follows dependencies."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.dependencies for strategy in strategies)
