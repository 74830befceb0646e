"""Scores of an experiment's cells, found and checked: a file shows only what its identity says it is."""

from collections.abc import Callable, Mapping
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
from branchwise.reporting.heads import SCORES, TIMES, Kind, head_of, read_result
from branchwise.results import Scores
from branchwise.times import TimesRecord


class NoResultError(UserError):
    """There is no cached result of the kind that was looked for, of whatever settings."""


def scores_file(experiment: Experiment, cell: Cell, cells: Path) -> Path:
    """Where a cell's scores lie; see `_found`."""
    name = f"scores.json of cell {cell}"
    return _found(
        experiment,
        name,
        cells / scores_path(experiment, cell),
        cells / cell.path,
        SCORES,
        lambda: _wanted(experiment, cell),
    )


def times_file(experiment: Experiment, contest: Contest, times: Path) -> Path:
    """Where the times of a contest lie; see `_found`."""
    path = times / times_path(experiment, contest)
    name = f"times of {contest}"
    return _found(
        experiment,
        name,
        path,
        times / contest.path,
        TIMES,
        lambda: {"times": times_settings(experiment, contest)},
    )


def _found(
    experiment: Experiment,
    name: str,
    path: Path,
    folder: Path,
    kind: Kind,
    wanted: Callable[[], dict[str, Any]],
) -> Path:
    """A result's file; `wanted` gives the settings that it is to record.

    Cached results are found by what they record, since data and models, whose content is part of the
    path, need not be on this machine. Raises UserError where none are the config's, naming what differs
    in those that there are, or why they cannot be read; NoResultError where there are none at all.
    """
    if path.is_file() or not experiment.cached:
        return path
    found: dict[Path, list[str]] = {}
    unreadable: list[UserError] = []
    for file in sorted(folder.glob(_PATTERNS[kind])):
        try:
            found[file] = differing(_recorded(file, kind), wanted())
        except UserError as error:
            unreadable.append(error)
    fitting = [file for file, differences in found.items() if not differences]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        listed = ", ".join(str(file.parent) for file in fitting)
        raise UserError(f"there are several cached {name}: {listed}", "leave one of them")
    if not found and not unreadable:
        raise NoResultError(
            f"there are no cached {name} in {folder.absolute()}",
            "run it without cached, or name the folder that holds the cells with cells_at",
        )
    if not found:
        raise UserError(
            f"the cached {name} cannot be used: {'; '.join(one.problem for one in unreadable[:3])}",
            unreadable[0].remedy,
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
    scores = read_result(path, Scores, SCORES)
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
    record = read_result(path, TimesRecord, TIMES)
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
    stale, slow = of_other_code(experiment, scores, times)
    if not stale and not slow:
        return f"{made}, as it is here."
    of = f"{len(stale)} of {len(scores)} cells" if stale else f"{len(slow)} of {len(times)} timing jobs"
    return f"{made}; of {of} this is not the code that is here."


def of_other_code(
    experiment: Experiment, scores: Mapping[Cell, Scores], times: Mapping[Contest, TimesRecord]
) -> tuple[list[Cell], list[Contest]]:
    """Cells, and timing jobs, that were made by other code than what is here."""
    stale = [cell for cell, one in scores.items() if not _is_of_this_code(experiment, cell, one)]
    slow = [c for c, one in times.items() if one.identity.code != times_identity(experiment, c).code]
    return stale, slow


def _is_of_this_code(experiment: Experiment, cell: Cell, scores: Scores) -> bool:
    here = cell_identity(experiment, cell)
    same = here.codes == scores.identity.codes
    return same and scores.scoring.code == scoring_identity(experiment, cell.dataset).code


def _wanted(experiment: Experiment, cell: Cell) -> dict[str, Any]:
    return {
        "answers": cell_settings(experiment, cell),
        "scores": scoring_settings(experiment, cell.dataset),
    }


_PATTERNS = {SCORES: "*/*/scores.json", TIMES: "*.json"}
"""Where results of a kind lie, of whatever settings, below the folder of their cell or contest."""


def _recorded(path: Path, kind: Kind) -> dict[str, Any]:
    """The settings that a result records. Raises UserError where it cannot be read."""
    head = head_of(path, kind)
    if kind is TIMES:
        return {"times": head["identity"].settings}
    return {"answers": head["identity"].settings, "scores": head["scoring"].settings}
