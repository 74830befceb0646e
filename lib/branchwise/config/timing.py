"""What is timed together, and what times depend on: their identity and where they lie."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.config.hashing import times_code
from branchwise.config.identity import cell_settings
from branchwise.config.once import once
from branchwise.config.types import Cell, Experiment
from branchwise.files import value_hash
from branchwise.results import Identity


class Contest(NamedTuple):
    """Cells that are timed in one process: all strategies on one decoder, or, where `decoder` is None,
    one strategy on all decoders.
    """

    dataset: str
    model: str
    decoder: str | None
    cells: tuple[Cell, ...]
    reference: str

    @property
    def path(self) -> Path:
        """The folder of its file, below the folder of times."""
        return Path(self.dataset, self.model, self.decoder or BETWEEN)

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.decoder or 'all decoders'}"


BETWEEN = "+decoders"
"""The folder of times that compare decoders; no name of an entry begins so."""


def contests(experiment: Experiment) -> Iterator[Contest]:
    """Everything that the experiment times; nothing where it times no groups."""
    if experiment.timed_groups == 0:
        return
    for dataset in experiment.datasets:
        for model in experiment.models:
            for decoder in (*experiment.decoders, None):
                if contest := contest_of(experiment, dataset, model, decoder):
                    yield contest


@once
def contest_of(experiment: Experiment, dataset: str, model: str, decoder: str | None) -> Contest | None:
    """One of them; None where the grid holds nothing of the kind."""
    mine = [
        cell
        for cell in experiment.cells_by_pair.get((dataset, model), ())
        # What is served is asked once, and its time is that of the asking.
        if not experiment.catalogues.decoders[cell.decoder].is_remote
    ]
    if decoder is not None:
        mine = [cell for cell in mine if cell.decoder == decoder]
    if not mine:
        return None
    strategies = [cell.strategy for cell in mine]
    if decoder is not None:
        reference = experiment.baseline if experiment.baseline in strategies else strategies[0]
        return Contest(dataset, model, decoder, tuple(mine), reference)
    # The strategy that most decoders run, the baseline before others.
    reference = max(
        dict.fromkeys(strategies), key=lambda name: (strategies.count(name), name == experiment.baseline)
    )
    cells = tuple(cell for cell in mine if cell.strategy == reference)
    return Contest(dataset, model, None, cells, reference) if len(cells) > 1 else None


def times_settings(experiment: Experiment, contest: Contest) -> dict[str, Any]:
    """Everything but code that times depend on, beside the machine."""
    cells = {f"{cell.strategy}/{cell.decoder}": cell_settings(experiment, cell) for cell in contest.cells}
    return {
        "cells": cells,
        "reference": contest.reference,
        "timed_groups": experiment.timed_groups,
        "repeats": experiment.repeats,
    }


def times_identity(experiment: Experiment, contest: Contest) -> Identity:
    """What a file of times is."""
    return Identity(
        settings=times_settings(experiment, contest), code=times_code(experiment, contest.cells)
    )


@once
def times_path(experiment: Experiment, contest: Contest) -> Path:
    """Where a contest's times lie, below the folder of times."""
    return contest.path / f"{value_hash(times_settings(experiment, contest))}.json"
