"""Where a further run starts: a folder with the finished weights of the run before it."""

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


class Finished(NamedTuple):
    """What the first runs of a recipe ended in: a folder, and how each of them went.

    "weights" of the last is the hash of the weights' file.
    """

    folder: Path
    runs: list[dict[str, Any]]

    @property
    def weights(self) -> str:
        """The hash of the weights' file."""
        return self.runs[-1]["weights"]

    def load_into(self, model: Module) -> None:
        """Put the weights into a model. Raises UserError where the model has another shape."""
        tensors = load_file(self.folder / WEIGHTS)
        has = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
        if has != wanted:
            differing = sorted(name for name, _ in has.items() ^ wanted.items())
            raise UserError(
                f"the weights in {self.folder} are not of the recipe's shape ({differing[0]} differs)",
                "give the folder of a model with this shape, or correct `shape` in the recipe",
            )
        set_weights(dict(model.named_parameters()), tensors)


def read_finished(folder: Path, recipe: TinyRecipe) -> Finished:
    """What `branchwise train` wrote at the end of one of the recipe's runs.

    Raises UserError where the folder holds no such thing, or the recipe no run that goes on from it.
    """
    remedy = (
        "give a folder with the weights that a run but the last ended in (a training from nothing leaves "
        "them in `run1`, `run2` and so on in its folder of work), or leave --from out"
    )
    for name in (WEIGHTS, FACTS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}", remedy)
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    # Models of one run, from before there could be more, have no list of runs.
    runs = facts.get("runs") or [{k: v for k, v in facts.items() if k not in _OF_ALL_RUNS}]
    steps = [run.get("steps") for run in runs]
    wanted = [run.num_steps for run in recipe.runs]
    if steps != wanted[: len(steps)]:
        raise UserError(
            f"the model in {folder} had runs of {steps} steps, those of the recipe have {wanted}", remedy
        )
    if len(runs) == len(wanted):
        raise UserError(f"the model in {folder} has had all runs of the recipe ({len(wanted)})", remedy)
    return Finished(folder, [*runs[:-1], runs[-1] | {"weights": file_hash(folder / WEIGHTS)}])


_OF_ALL_RUNS = ("parameters", "vocabulary")
