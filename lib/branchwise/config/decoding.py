"""Whether a cell's strategy and data set go with its decoder's sampling and form of answers."""

from branchwise.config.types import Cell, Experiment
from branchwise.errors import UserError
from branchwise.strategies.loading import draws


def check_decoding(experiment: Experiment, cell: Cell, source: str) -> None:
    """Raises UserError for a vote among answers that are all the same, and for a choice that the data set
    does not ask for.
    """
    problem = _problem(experiment, cell)
    if problem is not None:
        says, remedy = problem
        raise UserError(f"{source}: cell {cell}: {says}", remedy)


def _problem(experiment: Experiment, cell: Cell) -> tuple[str, str] | None:
    catalogues = experiment.catalogues
    decoder, dataset = catalogues.decoders[cell.decoder], catalogues.datasets[cell.dataset]
    strategy = catalogues.strategies[cell.strategy]
    without = f"choose another decoder or exclude {{decoder: {cell.decoder}, dataset: {cell.dataset}}}"
    if not experiment.cached and draws(strategy.module) and not decoder.is_sampled:
        return (
            f"strategy {cell.strategy} on a decoder without sampling: all of its samples are the same",
            f"give decoder {cell.decoder} a `sampling:`, choose `sampled`, or exclude "
            f"{{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
        )
    if decoder.holds_to is None:
        return None
    if decoder.holds_to == "choice" and dataset.scorer != "choice":
        return (
            f"decoder {cell.decoder} holds answers to letters of options, but data set {cell.dataset} is "
            f"no choice (it is scored by {dataset.scorer})",
            without,
        )
    if decoder.holds_to == "choice" and dataset.may_have_several and not decoder.allows_several:
        return (
            f"decoder {cell.decoder} allows one letter, but in data set {cell.dataset} several may be "
            "right",
            f"set `several: true` for {cell.decoder}; or {without}",
        )
    return None
