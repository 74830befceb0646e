"""How an experiment's checkpoints were trained, and as a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from branchwise.config import Experiment
from branchwise.config.trainings import CURVE, training_folder, trainings_of
from branchwise.decoding.trained.folder import RECORD, CheckpointRecord, read_record
from branchwise.errors import UserError


class Training(NamedTuple):
    """A checkpoint that was trained for an experiment: what it says of itself, and its curve, a row a
    point (`branchwise.training.curve.Point`).
    """

    name: str
    model: str
    label: str
    record: CheckpointRecord
    curve: pd.DataFrame


def load_trainings(experiment: Experiment, folder: Path) -> tuple[Training, ...]:
    """All that an experiment trains, from the folder of trainings. Raises UserError where one is not
    there.
    """
    found = []
    for name, model in trainings_of(experiment):
        place = training_place(experiment, name, model, folder)
        record = read_record(place)
        assert record is not None, "what is trained here has a record"
        label = experiment.catalogues.trainings[name].label or name.replace("_", " ")
        found.append(Training(name, model, label, record, pd.read_csv(place / CURVE)))
    return tuple(found)


def training_place(experiment: Experiment, name: str, model: str, folder: Path) -> Path:
    """The folder of a checkpoint; where results are cached the only one that there is, since the data and
    models, whose content names it, need not be on this machine.

    Raises UserError where there is none with a curve.
    """
    place = folder / training_folder(experiment, name, model)
    if not (place / RECORD).is_file() and experiment.cached:
        others = [path.parent for path in (folder / name / model).glob(f"*/{RECORD}")]
        place = others[0] if len(others) == 1 else place
    if not (place / RECORD).is_file() or not (place / CURVE).is_file():
        raise UserError(
            f"training {name} of {model} has no checkpoint with a curve in {place.absolute()}",
            f"run `snakemake`, or `branchwise train --training {name} --model {model}`",
        )
    return place


def rows_of_trainings(trainings: tuple[Training, ...], label: Callable[[str, str], str]) -> pd.DataFrame:
    """A row a checkpoint: what learned, for how long, and the held-out groups before and after."""
    return pd.DataFrame(
        [_row(one, label) for one in trainings],
        columns=[
            "model",
            "training",
            "kind",
            "learns",
            "of",
            "step kept",
            "tokens",
            "minutes",
            *_HELD_OUT,
        ],
    )


_HELD_OUT = ["loss before", "loss", "right before, %", "right, %"]


def _row(one: Training, label: Callable[[str, str], str]) -> dict[str, Any]:
    facts = one.record.facts
    row = {
        "model": label("model", one.model),
        "training": one.label,
        "kind": one.record.recipe["kind"],
        "learns": f"{facts['parameters']:,}",
        "of": f"{facts['parameters_of_the_model']:,}",
        "step kept": f"{one.record.step} of {facts['steps']}",
        "tokens": f"{facts['tokens']:,}",
        "minutes": f"{facts['train_s'] / 60:.1f}",
    }
    looks = one.curve.dropna(subset=["held_out_loss"])
    if looks.empty:
        return row | dict.fromkeys(_HELD_OUT, "")
    first, kept = looks.iloc[0], looks[looks.step == one.record.step].iloc[-1]
    loss = [f"{look.held_out_loss:.4f}" for look in (first, kept)]
    right = [f"{100 * look.held_out_right:.1f}" for look in (first, kept)]
    return row | dict(zip(_HELD_OUT, [*loss, *right], strict=True))
