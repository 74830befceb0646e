"""Checkpoints of a training: written whole, read back, put aside where they are of another recipe."""

import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from branchwise.decoding.models.weights import reason_of
from branchwise.errors import UserError
from branchwise.files import file_hash

MOST_LISTED = 12
_STATE = "state_hash"


class Checkpoint:
    """The folder `checkpoint` of a folder of work: tensors, and a training's progress as JSON.

    At every moment one whole checkpoint is there, the newest or the one before, whenever a run is killed.
    """

    def __init__(self, work: Path) -> None:
        self.folder = work / "checkpoint"
        self._old = self.folder.with_name("checkpoint.old")

    def progress(self) -> dict[str, Any] | None:
        """What was saved beside the tensors; None where there is no checkpoint.

        Raises UserError where the checkpoint is damaged.
        """
        if not self.folder.exists() and self._old.exists():
            # Killed between two renames.
            self._old.rename(self.folder)
        path = self.folder / "progress.json"
        if not path.exists():
            return None
        try:
            progress = json.loads(path.read_text())
            state = progress.pop(_STATE, None)
        except (ValueError, AttributeError) as error:
            raise self._broken(path, error) from None
        tensors = self.folder / "state.safetensors"
        if state is not None and file_hash(tensors) != state:
            raise self._broken(tensors, ValueError("it is cut off or changed"))
        return progress

    def usable(self, log: Callable[[str], None]) -> dict[str, Any] | None:
        """`progress`, where a damaged checkpoint is put aside and counts as none."""
        try:
            return self.progress()
        except UserError as error:
            log(error.problem)
            log(f"starting anew; the damaged checkpoint is kept in {self.put_aside()}")
            return None

    def _broken(self, path: Path, error: Exception) -> UserError:
        return UserError(
            f"{path} of the training to go on with cannot be read: {reason_of(error)}",
            f"remove {self.folder} to start anew",
        )

    def save(
        self,
        tensors: Mapping[str, Tensor],
        optimisers: Mapping[str, Optimizer],
        progress: dict[str, Any],
    ) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        new = self.folder.with_name("checkpoint.new")
        for leftover in (new, self._old):
            shutil.rmtree(leftover, ignore_errors=True)
        new.mkdir(parents=True)
        named = {f"model.{name}": tensor.detach() for name, tensor in tensors.items()}
        for name, optimiser in optimisers.items():
            for index, state in optimiser.state_dict()["state"].items():
                named |= {f"{name}.{index}.{key}": value for key, value in state.items()}
        save_file({k: v.contiguous().cpu() for k, v in named.items()}, new / "state.safetensors")
        state = {_STATE: file_hash(new / "state.safetensors")}
        (new / "progress.json").write_text(json.dumps(progress | state))
        if self.folder.exists():
            self.folder.rename(self._old)
        new.rename(self.folder)
        shutil.rmtree(self._old, ignore_errors=True)

    def load(self, optimisers: Mapping[str, Optimizer]) -> dict[str, Tensor]:
        """Put what was saved of the optimisers into these; returns the other tensors by name."""
        # On the CPU: safetensors knows no device "cpu:0", which a process of several computes on.
        path = self.folder / "state.safetensors"
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise self._broken(path, error) from error
        for name, optimiser in optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                owner, *rest = key.split(".")
                if owner == name:
                    state.setdefault(int(rest[0]), {})[rest[1]] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
        mine = {key: value for key, value in tensors.items() if key.startswith("model.")}
        return {name.removeprefix("model."): value for name, value in mine.items()}

    def put_aside(self) -> Path:
        """Give the folder the next free number, so that no later checkpoint takes its place."""
        numbers = itertools.count(1)
        aside = (self.folder.with_name(f"{self.folder.name}.{n}") for n in numbers)
        return self.folder.rename(next(path for path in aside if not path.exists()))


@torch.no_grad()
def set_weights(parameters: Mapping[str, Parameter], tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors into parameters of the same names. KeyError where one lacks."""
    for name, parameter in parameters.items():
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
