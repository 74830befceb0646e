"""What strategies are trained with: by which recipe, on what, and where the checkpoint lies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from branchwise.config.hashing import checkpoint_code
from branchwise.config.mistakes import nearest
from branchwise.config.once import once
from branchwise.config.parts import groups_settings, model_settings, plain
from branchwise.config.styles import style_settings
from branchwise.config.types import Cell, Experiment
from branchwise.decoding.options import layout_of
from branchwise.decoding.trained.folder import RECORD, checkpoint_hash, is_checkpoint, read_record
from branchwise.errors import UserError
from branchwise.files import content_hash, value_hash
from branchwise.training.recipes import ColumnsRecipe, Recipe

CURVE = "curve.csv"
"""Beside a checkpoint: how its training went, a row a point."""


@once
def given_checkpoint(experiment: Experiment, strategy: str) -> Path | None:
    """The folder that a config or an entry names for a strategy; None where it is trained, or plain."""
    given = experiment.checkpoints.get(strategy)
    given = given or experiment.catalogues.strategies[strategy].checkpoint
    return Path(given) if given else None


@once
def training_of(experiment: Experiment, strategy: str) -> str | None:
    """The training that makes a strategy's checkpoint; None where one is given, or none is needed."""
    if given_checkpoint(experiment, strategy) is not None:
        return None
    return experiment.catalogues.strategies[strategy].training


def trainings_of(experiment: Experiment) -> list[tuple[str, str]]:
    """All trainings of an experiment's cells, with the models that they train."""
    pairs = ((training_of(experiment, cell.strategy), cell.model) for cell in experiment.cells)
    return list(dict.fromkeys((name, model) for name, model in pairs if name is not None))


def data_of(recipe: Recipe) -> tuple[str, ...]:
    """All data sets that a training reads."""
    return tuple(dict.fromkeys((*recipe.datasets, *recipe.held_out)))


def training_settings(experiment: Experiment, name: str, model: str) -> dict[str, Any]:
    """What a checkpoint depends on, beside code: recipe, data with how they are asked, and the model."""
    recipe = experiment.catalogues.trainings[name]
    settings: dict[str, Any] = {
        "recipe": plain(recipe),
        "groups": {data: groups_settings(experiment, data) for data in data_of(recipe)},
        "styles": {data: style_settings(experiment, data, model) for data in data_of(recipe)},
        "model": model_settings(experiment, model),
    }
    if isinstance(recipe, ColumnsRecipe) and recipe.texts:
        settings["recipe"] = {**settings["recipe"], "texts": content_hash(Path(recipe.texts))}
    return settings


def training_folder(experiment: Experiment, name: str, model: str) -> Path:
    """Where a checkpoint lies, below the folder of trainings."""
    return Path(name, model, value_hash(training_settings(experiment, name, model)))


def checkpoint_folder(experiment: Experiment, strategy: str, model: str) -> Path | None:
    """The folder of a strategy's checkpoint, given or trained here; None for a plain model."""
    if (given := given_checkpoint(experiment, strategy)) is not None:
        return given
    if (name := training_of(experiment, strategy)) is not None:
        return Path(experiment.trainings_folder) / training_folder(experiment, name, model)
    return None


def trained_settings(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    """What of a checkpoint a cell's answers depend on; empty for a plain model."""
    if (given := given_checkpoint(experiment, cell.strategy)) is not None:
        return {"checkpoint": checkpoint_hash(given)}
    if (name := training_of(experiment, cell.strategy)) is not None:
        return {"training": training_settings(experiment, name, cell.model)}
    return {}


def trained_code(experiment: Experiment, strategy: str) -> str | None:
    """Hash of the code that a strategy's checkpoint depends on, where it is trained here."""
    return checkpoint_code() if training_of(experiment, strategy) is not None else None


def check_trainings(experiment: Experiment, source: str) -> None:
    """Raises UserError for trainings, data sets and checkpoints that there are not, and for what does not
    go together. Folders are looked for only where something is run.
    """
    catalogues = experiment.catalogues
    for strategy in experiment.checkpoints:
        if strategy not in experiment.strategies:
            raise UserError(
                f"{source}: checkpoints names strategy {strategy}, which is not among the strategies",
                nearest(strategy, experiment.strategies),
            )
    for name, entry in catalogues.strategies.items():
        if entry.training is not None and entry.training not in catalogues.trainings:
            raise UserError(
                f"{experiment.origin('strategies', name)}: strategy {name} has unknown training "
                f"{entry.training}",
                nearest(entry.training, list(catalogues.trainings)),
            )
    for name in dict.fromkeys(name for name, _ in trainings_of(experiment)):
        where = experiment.origin("trainings", name)
        for data in data_of(catalogues.trainings[name]):
            if data not in catalogues.datasets:
                raise UserError(
                    f"{where}: training {name} reads unknown data set {data}",
                    nearest(data, list(catalogues.datasets)),
                )
        _check_texts(catalogues.trainings[name], f"{where}: training {name}", experiment.cached)
    for name in experiment.strategies:
        _check_strategy(experiment, name)


def check_placed(experiment: Experiment, cell: Cell, source: str) -> None:
    """Raises UserError for branches that were trained to stand elsewhere, or to see something else, than
    the cell's decoder and strategy have them.
    """
    recipe = _recipe_of(experiment, cell.strategy)
    if recipe is None or "positions" not in recipe:
        return
    entry = experiment.catalogues.strategies[cell.strategy]
    options, decoder = entry.options, plain(experiment.catalogues.decoders[cell.decoder])
    asked = _placing(decoder, options)
    trained = {name: recipe.get(name) for name in asked}
    if asked == trained:
        return
    differing = ", ".join(f"{name} {trained[name]}, asked {asked[name]}" for name in asked)
    raise UserError(
        f"{source}: cell {cell}: its branches were trained with {differing}",
        "take a decoder with these positions and `peek` as trained, or exclude "
        f"{{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
    )


def _placing(decoder: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Where a strategy's branches stand on a decoder, and whether they peek, as recipes say it."""
    positions = decoder.get("positions", "path")
    layout = options.get("positions") or layout_of(positions)
    is_grid = positions.startswith("grid2d")
    named = {"path": "grid2d", "shared": "grid2d_shared"}.get(layout, layout) if is_grid else layout
    placing = {"positions": named, "peek": options.get("peek", False)}
    return placing | ({"grid": decoder.get("grid")} if is_grid else {})


def _recipe_of(experiment: Experiment, strategy: str) -> dict[str, Any] | None:
    """What a strategy's checkpoint was trained by, as JSON data; None where that is not known."""
    if (name := training_of(experiment, strategy)) is not None:
        return plain(experiment.catalogues.trainings[name])
    given = given_checkpoint(experiment, strategy)
    record = read_record(given) if given is not None and is_checkpoint(given) else None
    return record.recipe if record is not None else None


def _check_texts(recipe: Recipe, where: str, cached: bool) -> None:
    path = recipe.texts if isinstance(recipe, ColumnsRecipe) else None
    if path is not None and not cached and not Path(path).is_file():
        raise UserError(f"{where}: texts {path} do not exist", "correct `texts:` there")


def _check_strategy(experiment: Experiment, name: str) -> None:
    """Raises UserError for a strategy whose checkpoint is none, and where only one of the two mixes."""
    entry = experiment.catalogues.strategies[name]
    where = f"{experiment.origin('strategies', name)}: strategy {name}"
    if entry.checkpoint and entry.training:
        raise UserError(f"{where} has a checkpoint and a training", "leave one of them out")
    given, training = given_checkpoint(experiment, name), training_of(experiment, name)
    if given is not None and experiment.cached:
        return
    if given is not None and not is_checkpoint(given):
        raise UserError(
            f"{where}: {given} holds no checkpoint ({RECORD} or adapter_config.json)",
            "give the folder that `branchwise train` or peft's save_pretrained wrote",
        )
    mixes = False
    if training is not None:
        mixes = experiment.catalogues.trainings[training].mixes
    elif given is not None:
        record = read_record(given)
        mixes = record is not None and record.mixer is not None
    if mixes != ("mix" in entry.needs):
        what = "needs mix, and nothing that it is given mixes" if not mixes else "does not mix"
        remedy = "give it a `training` or `checkpoint` with a mixer"
        if mixes:
            remedy = "take module `mixed` with `needs: [ask, mix]` for a checkpoint with mixers"
        raise UserError(f"{where} {what}", remedy)


def trained_data(experiment: Experiment) -> Iterator[str]:
    """The data sets that an experiment's trainings read."""
    for name, _ in trainings_of(experiment):
        yield from data_of(experiment.catalogues.trainings[name])
