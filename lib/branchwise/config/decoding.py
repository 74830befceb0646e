"""Whether a cell's strategy and data set go with its decoder's sampling and form of answers."""

from branchwise.config.types import Cell, Experiment
from branchwise.data.entries import DatasetEntry
from branchwise.errors import UserError
from branchwise.strategies.loading import draws, has_own_form


def check_decoding(experiment: Experiment, cell: Cell, source: str) -> None:
    """Raises UserError for a vote among answers that are all the same, and for a choice that the data set
    does not ask for.
    """
    dataset = experiment.catalogues.datasets[cell.dataset]
    problem = decoding_problem(experiment, cell, dataset)
    if problem is not None:
        says, remedy = problem
        raise UserError(f"{source}: cell {cell}: {says}", remedy)


def decoding_problem(
    experiment: Experiment, cell: Cell, dataset: DatasetEntry | None
) -> tuple[str, str] | None:
    """What does not go together and what to do; None where all does. Without a data set (questions of
    one's own) only strategy and decoder count.
    """
    decoder = experiment.catalogues.decoders[cell.decoder]
    module = experiment.catalogues.strategies[cell.strategy].module
    without = f"choose another decoder or exclude {{decoder: {cell.decoder}, dataset: {cell.dataset}}}"
    if not experiment.cached and draws(module) and not decoder.is_sampled:
        return (
            f"strategy {cell.strategy} on a decoder without sampling: all of its samples are the same",
            f"give decoder {cell.decoder} a `sampling:`, choose `sampled`, or exclude "
            f"{{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
        )
    if decoder.holds_to and has_own_form(module):
        return (
            f"strategy {cell.strategy} writes answers in a form of its own, and decoder {cell.decoder} "
            f"holds them to another ({decoder.holds_to})",
            f"use a decoder without `constrain:`, or exclude {{strategy: {cell.strategy}, decoder: "
            f"{cell.decoder}}}",
        )
    if decoder.holds_to != "choice" or dataset is None:
        return None
    if dataset.scorer != "choice":
        return (
            f"decoder {cell.decoder} holds answers to letters of options, but data set {cell.dataset} is "
            f"no choice (it is scored by {dataset.scorer})",
            without,
        )
    if dataset.may_have_several and not decoder.allows_several:
        return (
            f"decoder {cell.decoder} allows one letter, but in data set {cell.dataset} several may be "
            "right",
            f"set `several: true` for {cell.decoder}; or {without}",
        )
    return None
