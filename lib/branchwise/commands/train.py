"""`branchwise train`: a checkpoint for strategies, or the tiny model from nothing."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import (
    ConfigOption,
    SetOption,
    SettingsOption,
    check_settings,
    computing_experiment,
    named,
    progress_bar,
)
from branchwise.commands.staging import files_by_key
from branchwise.config.shipped import kept, shipped
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.config import Experiment
    from branchwise.data.types import Group

TINY_RECIPE = shipped("config/tiny_model.yaml")


@command("train")
def train(
    training: Annotated[
        str | None,
        typer.Option(help="Name in the catalogue of trainings; without it the tiny model is trained."),
    ] = None,
    model: Annotated[str, typer.Option(help="Name in the catalogue of models.")] = "tiny",
    groups: Annotated[
        list[str],
        typer.Option(
            help="NAME=FILE of `branchwise prepare`, for each data set that is read; default: made anew."
        ),
    ] = [],  # noqa: B006 (typer copies it)
    out: Annotated[
        Path | None, typer.Option(help="Folder of what was trained; default: where cells look for it.")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder to go on from; default: beside --out.")
    ] = None,
    settings: SettingsOption = None,
    recipe: Annotated[Path, typer.Option(help="Tiny model: YAML recipe.")] = TINY_RECIPE,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Tiny model: folder with the finished weights of a run of the recipe; do only those "
            "after it.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Tiny model: auto, cpu, cuda or another device.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 2,
    config: ConfigOption = [],  # noqa: B006
    setting: SetOption = [],  # noqa: B006
) -> None:
    """Train what a strategy needs (heads, adapters, mixers, branches), or the tiny model on worlds.

    A stopped training goes on from its last checkpoint; one of another recipe is kept under another name,
    and training starts anew. `torchrun --nproc-per-node N -m branchwise train ...` takes N processes,
    whose rows are one step's.
    """
    import torch

    torch.set_num_threads(threads)
    if training is None:
        if groups or settings:
            raise UserError("--groups and --settings are of a training", "give --training too")
        out = out or kept("resources/models/tiny")
        _train_tiny(recipe, work or Path("results/training/tiny"), out, start, device)
        return
    experiment = computing_experiment(config, setting)
    _train(experiment, training, model, files_by_key("groups", groups), out, work, settings)


def _say(line: str) -> None:
    Console(stderr=True, highlight=False).print(line, markup=False, soft_wrap=True)


def _train(
    experiment: "Experiment",
    name: str,
    model: str,
    files: Mapping[str, Path],
    out: Path | None,
    work: Path | None,
    settings: str | None,
) -> None:
    """One training of the catalogue."""
    import torch

    from branchwise.commands.prompting import style_of
    from branchwise.config.hashing import checkpoint_code
    from branchwise.config.identity import check_models
    from branchwise.config.trainings import data_of, training_folder, training_settings
    from branchwise.decoding.models.loading import load_model
    from branchwise.training.making import TrainingJob, make_checkpoint

    recipe = named(experiment, "training", name)
    entry = named(experiment, "model", model)
    check_models(experiment, [model])
    wanted = training_settings(experiment, name, model)
    check_settings(settings, wanted, f"training {name} of {model}")
    if unknown := sorted(set(files) - set(data_of(recipe))):
        raise UserError(
            f"--groups names {', '.join(unknown)}, which training {name} does not read",
            f"it reads: {', '.join(data_of(recipe))}",
        )
    found = {data: _groups(experiment, data, files.get(data)) for data in data_of(recipe)}
    job = TrainingJob(
        name=name,
        recipe=recipe,
        model_name=model,
        train={data: found[data] for data in recipe.datasets},
        held_out={data: found[data] for data in recipe.held_out},
        styles={
            data: style_of(experiment, experiment.catalogues.datasets[data], entry) for data in found
        },
        settings=wanted,
        code=checkpoint_code(),
    )
    # Of several processes each computes on a device of its own.
    if torch.cuda.is_available() and "LOCAL_RANK" in os.environ:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    out = out or Path(experiment.trainings_folder) / training_folder(experiment, name, model)
    work = work or out.with_name(f"{out.name}.work")
    with progress_bar(f"training {name}") as progress:
        make_checkpoint(job, load_model(entry), work, out, _say, progress)
    _say(f"the checkpoint is in {out}, its curve in {out / 'curve.csv'}")


def _groups(experiment: "Experiment", name: str, file: Path | None) -> "Sequence[Group]":
    """The groups of a data set, from the file that was prepared, or made anew."""
    from branchwise.config.parts import groups_settings
    from branchwise.data.groups_file import read_groups
    from branchwise.data.prepare import groups_of
    from branchwise.files import value_hash

    if file is not None:
        return read_groups(file, value_hash(groups_settings(experiment, name)))
    return list(groups_of(experiment.catalogues.datasets[name], lambda text: _say(f"warning: {text}")))


def _train_tiny(recipe: Path, work: Path, out: Path, start: Path | None, device: str) -> None:
    """The tiny model, from nothing to a folder with a model card."""
    from branchwise.config.load import validated
    from branchwise.decoding.models.loading import choose_device
    from branchwise.training.card import measure, write_card
    from branchwise.training.recipe import TinyRecipe
    from branchwise.training.start import read_finished
    from branchwise.training.tiny import TinyTrainer

    parsed = validated(TinyRecipe, recipe)
    finished = read_finished(start, parsed) if start else None
    trainer = TinyTrainer(parsed, work, str(choose_device(device)), finished)
    with progress_bar("training") as progress:
        trainer.train(_say, progress)
    trainer.export(out)
    with progress_bar("measuring") as progress:
        accuracy = measure(out, progress)
    write_card(out, parsed, trainer.facts(), accuracy)
    _say(f"the model is in {out}, its card in {out / 'README.md'}")
