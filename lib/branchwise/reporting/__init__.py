"""What a reader sees: tables and figures, from scores alone. Imports no torch."""

from branchwise.config.timing import contests
from branchwise.config.trainings import trainings_of
from branchwise.config.types import Experiment
from branchwise.reporting.names import families_by_size
from branchwise.reporting.publications import counterparts

TABLES = ("accuracy", "cost", "differences", "throughput", "kinds", "further")
FIGURES = ("accuracy", "accuracy_by_size", "latency_by_size", "quality_latency", "tokens")
TIMED_FIGURES = frozenset({"latency_by_size", "quality_latency", "dependency_cost"})
"""Those that show times: there are none of them where an experiment times no groups."""
FIGURES_BY_SIZE = frozenset({"accuracy_by_size", "latency_by_size"})
"""Those over the size of groups: there are none of them where no data set has several sizes."""
ENSEMBLE_FIGURES = ("by_wordings", "first_token")
DEPENDENCY_FIGURES = ("dependency_cost", "dependency_gain", "dependency_edges", "dependency_graphs")


def tables_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the tables that an experiment yields; the workflow plans its outputs from them."""
    tables = (*TABLES, "dependencies") if _follows_any(experiment) else TABLES
    tables = (*tables, "ensembles") if _asks_wordings(experiment) else tables
    tables = (*tables, "published") if experiment.published else tables
    tables = (*tables, "reproduction") if any(counterparts(experiment)) else tables
    tables = (*tables, "served") if _asks_servers(experiment) else tables
    tables = (*tables, "agreement") if _has_several_decoders(experiment) else tables
    tables = (*tables, "trainings") if trainings_of(experiment) else tables
    compares = any(contest.decoder is None for contest in contests(experiment))
    return (*tables, "decoders") if compares else tables


def figures_of(experiment: Experiment) -> tuple[str, ...]:
    """Names of the figures that an experiment yields."""
    left_out = frozenset() if families_by_size(experiment.datasets) else FIGURES_BY_SIZE
    if not experiment.timed_groups:
        left_out |= TIMED_FIGURES
    names = (*FIGURES, *DEPENDENCY_FIGURES) if _follows_any(experiment) else FIGURES
    names = (*names, *ENSEMBLE_FIGURES) if _asks_wordings(experiment) else names
    names = (*names, "training_curves") if trainings_of(experiment) else names
    return tuple(name for name in names if name not in left_out)


def _follows_any(experiment: Experiment) -> bool:
    """Whether some strategy follows dependencies."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.dependencies for strategy in strategies)


def _asks_servers(experiment: Experiment) -> bool:
    """Whether some cell is answered by a served model."""
    return any(experiment.catalogues.decoders[cell.decoder].is_remote for cell in experiment.cells)


def _has_several_decoders(experiment: Experiment) -> bool:
    """Whether a strategy runs on several decoders."""
    places = [cell._replace(decoder="") for cell in experiment.cells]
    return len(set(places)) < len(places)


def _asks_wordings(experiment: Experiment) -> bool:
    """Whether some strategy asks single wordings, beside which others can be shown."""
    strategies = (experiment.catalogues.strategies[name] for name in experiment.strategies)
    return any(strategy.module == "per_prompt" for strategy in strategies)
