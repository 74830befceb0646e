"""Checkpoints of a training: written whole, read back, put aside where they are of another recipe."""

import itertools
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

MOST_LISTED = 12


class Checkpoint:
    """The folder `checkpoint` of a folder of work: tensors, and a training's progress as JSON."""

    def __init__(self, work: Path) -> None:
        self.folder = work / "checkpoint"

    def progress(self) -> dict[str, Any] | None:
        """What was saved beside the tensors; None where there is no checkpoint."""
        path = self.folder / "progress.json"
        return json.loads(path.read_text()) if path.exists() else None

    def save(self, model: Module, optimisers: Mapping[str, Optimizer], progress: dict[str, Any]) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        new = self.folder.with_name("checkpoint.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        tensors = {f"model.{n}": p.detach() for n, p in model.named_parameters()}
        for name, optimiser in optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in state.items()}
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, new / "state.safetensors")
        (new / "progress.json").write_text(json.dumps(progress))
        shutil.rmtree(self.folder, ignore_errors=True)
        new.replace(self.folder)

    def load(self, model: Module, optimisers: Mapping[str, Optimizer], device: torch.device) -> None:
        """Put the saved tensors into a model and its optimisers."""
        tensors = load_file(self.folder / "state.safetensors", device=str(device))
        set_weights(model, {name.removeprefix("model."): value for name, value in tensors.items()})
        for name, optimiser in optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                owner, *rest = key.split(".")
                if owner == name:
                    state.setdefault(int(rest[0]), {})[rest[1]] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})

    def put_aside(self) -> Path:
        """Give the folder the next free number, so that no later checkpoint takes its place."""
        numbers = itertools.count(1)
        aside = (self.folder.with_name(f"{self.folder.name}.{n}") for n in numbers)
        return self.folder.rename(next(path for path in aside if not path.exists()))


@torch.no_grad()
def set_weights(model: Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors, by the names of the model's parameters, into it. KeyError where one lacks."""
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[name])


def changes(old: Any, new: Any, at: str = "") -> list[str]:
    """What differs between two recipes as JSON data, each as "key: old -> new"."""
    parts: dict[str, tuple[Any, Any]] = {}
    if isinstance(old, dict) and isinstance(new, dict):
        parts = {f"{at}.{key}": (old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])}
    elif isinstance(old, list) and isinstance(new, list):
        pairs = enumerate(itertools.zip_longest(old, new))
        parts = {f"{at}[{number}]": pair for number, pair in pairs}
    if not parts:
        return [] if old == new else [f"{at.lstrip('.')}: {json.dumps(old)} -> {json.dumps(new)}"]
    return [change for key, (one, other) in parts.items() for change in changes(one, other, key)]


def listed(differences: list[str]) -> str:
    """Changes as one text; of many only the first, and a count."""
    more = len(differences) - MOST_LISTED
    return "; ".join(differences[:MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")
