"""Scores of an experiment's cells, found and checked: a file shows only what its identity says it is."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from branchwise.config import Cell, Experiment
from branchwise.config.identity import (
    cell_identity,
    cell_settings,
    differing,
    scores_path,
    scoring_identity,
    scoring_settings,
)
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.results import Scores, read_json


def scores_file(experiment: Experiment, cell: Cell, cells: Path) -> Path:
    """Where a cell's scores lie.

    Cached results are found by what they record, since data and models, whose content is part of their
    folder's name, need not be on this machine. Raises UserError where none are the config's, naming what
    differs in those that there are.
    """
    path = cells / scores_path(experiment, cell)
    if path.is_file() or not experiment.cached:
        return path
    wanted = _wanted(experiment, cell)
    found = {file: differing(_recorded(file), wanted) for file in _candidates(cells / cell.path)}
    fitting = [file for file, differences in found.items() if not differences]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(str(file.parent) for file in fitting)
        raise UserError(f"cell {cell} has several cached scores: {listed}", "leave one of them")
    if not found:
        raise UserError(
            f"cell {cell} has no scores.json in {(cells / cell.path).absolute()}",
            "run it without cached, or name the folder that holds it with cells_at",
        )
    near = min(found.values(), key=len)
    raise UserError(
        f"the cached scores.json of cell {cell} are of other settings: {'; '.join(near[:4])}",
        "set the config to these, or run it without cached",
    )


def read_scores(experiment: Experiment, cell: Cell, path: Path) -> Scores:
    """A cell's scores, from the file that `scores_file` gives.

    Raises UserError where they are another cell's, of other settings, or (unless cached results are asked
    for) of other code.
    """
    scores = read_json(path, Scores)
    if scores.cell != cell._asdict():
        raise UserError(
            f"{path.absolute()} is of cell {'/'.join(scores.cell.values())}, not of {cell}",
            "remove it and run `snakemake`",
        )
    recorded = {"answers": scores.identity.settings, "scores": scores.scoring.settings}
    if differences := differing(recorded, _wanted(experiment, cell)):
        raise UserError(
            f"{path.absolute()} is of other settings than cell {cell}: {'; '.join(differences[:4])}",
            "remove it and run `snakemake`",
        )
    if not experiment.cached:
        _check_code(experiment, cell, scores, path)
    return scores


def provenance(experiment: Experiment, scores: Mapping[Cell, Scores]) -> str:
    """What cached results are, in a sentence that fits under a figure: hashes over all cells."""
    code = value_hash({str(cell): one.identity.code for cell, one in scores.items()})
    stale = [cell for cell, one in scores.items() if not _is_of_this_code(experiment, cell, one)]
    settings = value_hash({str(cell): one.identity.settings for cell, one in scores.items()})
    made = f"Cached results: settings {settings}, code {code}"
    if not stale:
        return f"{made}, as it is here."
    return f"{made}; of {len(stale)} of {len(scores)} cells this is not the code that is here."


def _is_of_this_code(experiment: Experiment, cell: Cell, scores: Scores) -> bool:
    here = cell_identity(experiment, cell)
    same = (here.code, here.dependencies_code) == (
        scores.identity.code,
        scores.identity.dependencies_code,
    )
    return same and scores.scoring.code == scoring_identity(experiment, cell.dataset).code


def _check_code(experiment: Experiment, cell: Cell, scores: Scores, path: Path) -> None:
    if not _is_of_this_code(experiment, cell, scores):
        raise UserError(
            f"{path.absolute()} was made by other code than what is here now (cell {cell})",
            "remove its folder and run `snakemake`, or show it as it is with `--config cached=true`",
        )


def _wanted(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    return {
        "answers": cell_settings(experiment, cell),
        "scores": scoring_settings(experiment, cell.dataset),
    }


def _candidates(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*/scores.json"))


def _recorded(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {
            "answers": content["identity"]["settings"],
            "scores": content["scoring"]["settings"],
        }
    except (ValueError, KeyError, TypeError):
        return {"answers": "not a file of this version"}
