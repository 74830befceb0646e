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
from branchwise.config.timing import Contest, times_identity, times_path, times_settings
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.results import Scores, read_json
from branchwise.times import TimesRecord


def scores_file(experiment: Experiment, cell: Cell, cells: Path) -> Path:
    """Where a cell's scores lie; see `_found`."""
    wanted = _wanted(experiment, cell)
    name = f"scores.json of cell {cell}"
    return _found(
        experiment,
        name,
        cells / scores_path(experiment, cell),
        cells / cell.path,
        "*/*/scores.json",
        wanted,
    )


def times_file(experiment: Experiment, contest: Contest, times: Path) -> Path:
    """Where the times of a contest lie; see `_found`."""
    wanted = {"times": times_settings(experiment, contest)}
    path = times / times_path(experiment, contest)
    return _found(experiment, f"times of {contest}", path, times / contest.path, "*.json", wanted)


def _found(
    experiment: Experiment, name: str, path: Path, folder: Path, pattern: str, wanted: dict[str, Any]
) -> Path:
    """A result's file.

    Cached results are found by what they record, since data and models, whose content is part of the
    path, need not be on this machine. Raises UserError where none are the config's, naming what differs
    in those that there are.
    """
    if path.is_file() or not experiment.cached:
        return path
    found = {file: differing(_recorded(file), wanted) for file in sorted(folder.glob(pattern))}
    fitting = [file for file, differences in found.items() if not differences]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(str(file.parent) for file in fitting)
        raise UserError(f"there are several cached {name}: {listed}", "leave one of them")
    if not found:
        raise UserError(
            f"there are no cached {name} in {folder.absolute()}",
            "run it without cached, or name the folder that holds the cells with cells_at",
        )
    near = min(found.values(), key=len)
    raise UserError(
        f"the cached {name} are of other settings: {'; '.join(near[:4])}",
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
    _check(
        experiment,
        path,
        f"cell {cell}",
        differing(recorded, _wanted(experiment, cell)),
        _is_of_this_code(experiment, cell, scores),
    )
    return scores


def read_times(experiment: Experiment, contest: Contest, path: Path) -> TimesRecord:
    """A contest's times, from the file that `times_file` gives. Raises as `read_scores` does."""
    record = read_json(path, TimesRecord)
    wanted = times_identity(experiment, contest)
    differences = differing(record.identity.settings, wanted.settings)
    if (record.dataset, record.model) != (contest.dataset, contest.model):
        differences = [f"of {record.dataset}/{record.model}"]
    _check(experiment, path, f"{contest}", differences, record.identity.code == wanted.code)
    return record


def _check(
    experiment: Experiment, path: Path, name: str, differences: list[str], is_of_this_code: bool
) -> None:
    if differences:
        raise UserError(
            f"{path.absolute()} is of other settings than {name}: {'; '.join(differences[:4])}",
            "remove it and run `snakemake`",
        )
    if not is_of_this_code and not experiment.cached:
        raise UserError(
            f"{path.absolute()} was made by other code than what is here now ({name})",
            "remove its folder and run `snakemake`, or show it as it is with `--config cached=true`",
        )


def provenance(
    experiment: Experiment, scores: Mapping[Cell, Scores], times: Mapping[Contest, TimesRecord]
) -> str:
    """What cached results are, in a sentence that fits under a figure: hashes over all cells."""
    identities = {str(cell): one.identity for cell, one in scores.items()}
    identities |= {str(contest): one.identity for contest, one in times.items()}
    code = value_hash({name: one.code for name, one in identities.items()})
    settings = value_hash({name: one.settings for name, one in identities.items()})
    made = f"Cached results: settings {settings}, code {code}"
    stale = [cell for cell, one in scores.items() if not _is_of_this_code(experiment, cell, one)]
    slow = [c for c, one in times.items() if one.identity.code != times_identity(experiment, c).code]
    if not stale and not slow:
        return f"{made}, as it is here."
    of = f"{len(stale)} of {len(scores)} cells" if stale else f"{len(slow)} of {len(times)} timing jobs"
    return f"{made}; of {of} this is not the code that is here."


def _is_of_this_code(experiment: Experiment, cell: Cell, scores: Scores) -> bool:
    here = cell_identity(experiment, cell)
    same = here.codes == scores.identity.codes
    return same and scores.scoring.code == scoring_identity(experiment, cell.dataset).code


def _wanted(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    return {
        "answers": cell_settings(experiment, cell),
        "scores": scoring_settings(experiment, cell.dataset),
    }


def _recorded(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if "scoring" not in content:
            return {"times": content["identity"]["settings"]}
        return {
            "answers": content["identity"]["settings"],
            "scores": content["scoring"]["settings"],
        }
    except (ValueError, KeyError, TypeError):
        return {"answers": "not a file of this version"}
