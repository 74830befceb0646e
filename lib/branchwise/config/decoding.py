"""Whether a cell's strategy, model and data set go with its decoder: sampling, forms, servers."""

from branchwise.config.catalogues import Catalogues
from branchwise.config.styles import style_name
from branchwise.config.types import Cell, Experiment
from branchwise.data.entries import DatasetEntry
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.errors import UserError
from branchwise.serving.entry import ServerSettings
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.loading import states


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
    if problem := _served_problem(experiment, cell):
        return problem
    module = experiment.catalogues.strategies[cell.strategy].module
    without = f"choose another decoder or exclude {{decoder: {cell.decoder}, dataset: {cell.dataset}}}"
    if not experiment.cached and states(module, "DRAWS") and not decoder.is_sampled:
        return (
            f"strategy {cell.strategy} on a decoder without sampling: all of its samples are the same",
            f"give decoder {cell.decoder} a `sampling:`, choose `sampled`, or exclude "
            f"{{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
        )
    if decoder.holds_to and states(module, "OWN_FORM"):
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


def _served_problem(experiment: Experiment, cell: Cell) -> tuple[str, str] | None:
    """Why a decoder cannot ask for a cell's models, in its style, or with what was trained."""
    decoder = experiment.catalogues.decoders[cell.decoder]
    models = experiment.catalogues.models
    roles = experiment.catalogues.strategies[cell.strategy].asks
    asked = (cell.model, *(getattr(experiment.roles, role) for role in roles))
    # (`branchwise ask` takes models that are in no catalogue.)
    for name in dict.fromkeys(name for name in asked if name in models):
        if problem := decoder.problem_with(name, models[name]):
            return problem
    return _trained_problem(experiment, cell) or _begun_problem(experiment, cell)


def trained_gap(catalogues: Catalogues, strategy: StrategyEntry, decoder: DecoderSettings) -> str | None:
    """What of a strategy's training a decoder does not take: its kind; None where it takes all."""
    takes = decoder.takes_trained
    is_trained = bool(strategy.training or strategy.checkpoint)
    if takes == "all" or not is_trained:
        return None
    if takes == "nothing":
        return "checkpoint"
    recipe = catalogues.trainings.get(strategy.training or "")
    # Of a folder it is seen when it is read.
    return None if recipe is None or recipe.kind == "lora" else str(recipe.kind)


def _trained_problem(experiment: Experiment, cell: Cell) -> tuple[str, str] | None:
    """Why a decoder cannot answer by what a strategy is trained to."""
    catalogues = experiment.catalogues
    strategy, decoder = catalogues.strategies[cell.strategy], catalogues.decoders[cell.decoder]
    gap = trained_gap(catalogues, strategy, decoder)
    if gap is None and cell.strategy in experiment.checkpoints and decoder.takes_trained == "nothing":
        gap = "checkpoint"
    if gap is None:
        return None
    return (
        f"strategy {cell.strategy} answers by a {gap}, which decoder {cell.decoder} does not take",
        "serve the trained model under a name of its own and ask it untrained, or exclude "
        f"{{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
    )


def _begun_problem(experiment: Experiment, cell: Cell) -> tuple[str, str] | None:
    """Why a style that begins the answer cannot be sent to a chat endpoint."""
    decoder = experiment.catalogues.decoders[cell.decoder]
    dataset = experiment.catalogues.datasets.get(cell.dataset)
    model = experiment.catalogues.models.get(cell.model)
    if model is None:
        return None
    name = style_name(experiment, dataset, model)
    style = experiment.catalogues.styles.get(name)
    if not isinstance(decoder, ServerSettings) or style is None or style.form == "completion":
        return None
    if not style.is_prefilled or decoder.prefill is not None or decoder.renders == "here":
        return None
    return (
        f"style {name} begins the answer for the model, and decoder {cell.decoder} does not say how its "
        "server takes that",
        f"set `prefill: message` or `prefill: continue` for {cell.decoder} where its server can, "
        "`renders: here`, or take a style with `prefilled: false`",
    )
