"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

from branchwise.config.timing import contests
from branchwise.config.types import Experiment

TABLES = ("accuracy", "cost", "differences", "throughput", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
TIMED_FIGURES = frozenset({"latency_by_size", "quality_latency"})
DEPENDENCY_FIGURES = ("dependency_cost", "dependency_gain", "dependency_edges", "dependency_graphs")


def tables_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the tables that an experiment yields; the workflow plans its outputs from them."""
    tables = (*TABLES, "dependencies") if _follows_any(experiment) else TABLES
    compares = any(contest.decoder is None for contest in contests(experiment))
    return (*tables, "decoders") if compares else tables


def figures_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures that an experiment yields."""
    figures = FIGURES if experiment.timed_groups else [n for n in FIGURES if n not in TIMED_FIGURES]
    return (*figures, *DEPENDENCY_FIGURES) if _follows_any(experiment) else tuple(figures)


def _follows_any(experiment: Experiment) -> bool:
    """Whether some strategy follows dependencies."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.dependencies for strategy in strategies)
