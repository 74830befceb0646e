"""`branchwise train`: the tiny model, from nothing to a folder with a model card."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from branchwise.commands.main import command
from branchwise.commands.options import progress_bar
from branchwise.config.catalogues import ROOT


@command("train")
def train(
    recipe: Annotated[Path, typer.Option(help="YAML recipe.")] = (ROOT / "config/tiny_model.yaml"),
    work: Annotated[Path, typer.Option(help="Folder of checkpoints.")] = Path("results/training/tiny"),
    out: Annotated[Path, typer.Option(help="Folder of the finished model.")] = (
        ROOT / "resources/models/tiny"
    ),
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Folder with the finished weights of a run of the recipe: do only those after it.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or another torch device.")] = "auto",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 2,
) -> None:
    """Train the tiny model on worlds; stopped runs go on from their last checkpoint.

    A checkpoint of another recipe is kept under another name, and training starts anew.
    """
    import torch

    from branchwise.config.load import validated
    from branchwise.decoding.models.loading import choose_device
    from branchwise.training.card import measure, write_card
    from branchwise.training.recipe import TinyRecipe
    from branchwise.training.start import read_finished
    from branchwise.training.tiny import TinyTrainer

    torch.set_num_threads(threads)
    console = Console(stderr=True, highlight=False)
    parsed = validated(TinyRecipe, recipe)
    finished = read_finished(start, parsed) if start else None
    trainer = TinyTrainer(parsed, work, str(choose_device(device)), finished)
    with progress_bar("training") as progress:
        trainer.train(lambda line: console.print(line, markup=False, soft_wrap=True), progress)
    trainer.export(out)
    with progress_bar("measuring") as progress:
        accuracy = measure(out, progress)
    write_card(out, parsed, trainer.facts(), accuracy)
    console.print(f"the model is in {out}, its card in {out / 'README.md'}")
