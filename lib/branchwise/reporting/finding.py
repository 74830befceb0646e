"""The scores of one cell that somebody names: by its names in a config's grid, or by a folder."""

import difflib
from pathlib import Path

from branchwise.config import Cell, Experiment
from branchwise.config.catalogues import AXES
from branchwise.config.mistakes import nearest
from branchwise.errors import UserError
from branchwise.reporting.cells import read_scores, scores_file
from branchwise.results import Scores, only_folder, read_json

_MOST_NAMED = 3


def scores_of(experiment: Experiment, given: str, cells: Path) -> tuple[Path, Scores]:
    """A cell's scores and their file. `given` is dataset/model/strategy/decoder of the grid, whose files
    lie in the folder `cells`, or a folder of results: the cell's, or one of those below it.

    Raises UserError where it is neither, naming the nearest, and where there are no scores.
    """
    cell = next((one for one in experiment.cells if str(one) == given.strip("/")), None)
    if cell is not None:
        file = scores_file(experiment, cell, cells)
        return file, read_scores(experiment, cell, file)
    if not Path(given).is_dir():
        raise _unknown(experiment, given)
    file = _in_folder(Path(given))
    return file, read_json(file, Scores)


def _in_folder(folder: Path) -> Path:
    name = "scores.json"
    if not (folder / name).is_file():
        folder = only_folder(only_folder(folder, "run.json"), name)
    return folder / name


def _unknown(experiment: Experiment, given: str) -> UserError:
    """What is wrong with a name: the axis that nobody knows, or the whole."""
    parts = given.split("/")
    if len(parts) == len(Cell._fields):
        for axis, name in zip(Cell._fields, parts, strict=True):
            known = list(getattr(experiment, AXES[axis]))
            if name not in known:
                return UserError(
                    f"{given}: no {axis} {name} in {experiment.experiment}", nearest(name, known)
                )
        return UserError(
            f"{given} is excluded from {experiment.experiment}", "`branchwise cells` lists what is in it"
        )
    cells = [str(cell) for cell in experiment.cells]
    near = difflib.get_close_matches(given, cells, n=_MOST_NAMED, cutoff=0.3) or cells[:_MOST_NAMED]
    return UserError(
        f"{given} is no folder and no cell (dataset/model/strategy/decoder) of {experiment.experiment}",
        f"the nearest: {', '.join(near)}",
    )
