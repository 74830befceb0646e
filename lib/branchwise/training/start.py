"""Where a second run starts: a folder with the finished weights of the recipe's first run."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors.torch import load_file
from torch.nn import Module

from branchwise.errors import UserError
from branchwise.files import file_hash
from branchwise.training.checkpoint import set_weights
from branchwise.training.recipe import TinyRecipe

WEIGHTS, FACTS = "model.safetensors", "training.json"


class FirstRun(NamedTuple):
    """The finished first run: its folder, and how it went ("weights" is the hash of their file)."""

    folder: Path
    facts: dict[str, Any]

    def load_into(self, model: Module) -> None:
        """Put its weights into a model. Raises UserError where the model has another shape."""
        tensors = load_file(self.folder / WEIGHTS)
        has = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        if has != wanted:
            differing = sorted(name for name, _ in has.items() ^ wanted.items())
            raise UserError(
                f"the weights in {self.folder} are not of the recipe's shape ({differing[0]} differs)",
                "give the folder of a model with this shape, or correct `shape` in the recipe",
            )
        set_weights(model, tensors)


def read_first_run(folder: Path, recipe: TinyRecipe) -> FirstRun:
    """What `branchwise train` wrote at the end of the recipe's first run.

    Raises UserError where the folder holds no such thing, or the recipe has no second run.
    """
    remedy = (
        "give a folder with the weights that the first run ended in (a training from nothing leaves them "
        "in `first_run` in its folder of work), or leave --from out to train from nothing"
    )
    if recipe.further is None:
        raise UserError("the recipe has no second run", "add `further` to it, or leave --from out")
    for name in (WEIGHTS, FACTS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}", remedy)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    runs = facts.get("runs", [facts])  # models trained in one run, before there were two, have no list
    if len(runs) > 1:
        raise UserError(f"the model in {folder} has had its second run already", remedy)
    if runs[0].get("steps") != recipe.num_steps:
        given = runs[0].get("steps", "an unknown number of")
        raise UserError(
            f"the model in {folder} was trained for {given} steps, the recipe's first run has "
            f"{recipe.num_steps}",
            remedy,
        )
    kept = {key: value for key, value in runs[0].items() if key not in ("parameters", "vocabulary")}
    return FirstRun(folder, kept | {"weights": file_hash(folder / WEIGHTS)})
