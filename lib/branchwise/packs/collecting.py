"""What of an experiment can be packed: its results, each read whole and checked; and what is missing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from branchwise.config import Cell, Experiment
from branchwise.config.hashing import checkpoint_code
from branchwise.config.identity import cell_identity, differing, scoring_identity
from branchwise.config.timing import Contest, contests, times_identity
from branchwise.config.trainings import CURVE, trainings_of
from branchwise.decoding.trained.folder import RECORD, read_record
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.packs.manifest import Absent, PackedResult
from branchwise.reporting.cells import NoResultError, scores_file, times_file
from branchwise.reporting.heads import RUN, SCORES, TIMES, read_result
from branchwise.reporting.trainings import training_place
from branchwise.results import AnswerRow, Identity, RunRecord, Scores, read_rows
from branchwise.status.cells import CODES, CellStates, other_codes
from branchwise.status.standing import State
from branchwise.times import TimesRecord
from branchwise.trace import GroupTrace

M = TypeVar("M", bound=BaseModel)


class Found(NamedTuple):
    """A result that can be packed: what the manifest says of it, and where its files lie."""

    result: PackedResult
    sources: dict[str, Path]


def collect(experiment: Experiment, answers: bool, logs: Path) -> Iterator[Found | Absent]:
    """Everything that an experiment's tables and figures are made of, or why it cannot be packed; with
    `answers` those and the traces of each cell too. `logs` tell what failed.
    """
    states = CellStates(experiment, logs)
    for cell in experiment.cells:
        try:
            yield _cell(experiment, cell, answers)
        except FileNotFoundError:
            yield Absent(stage="cell", name=str(cell), **_said(*states.of(cell)))
        except UserError as error:
            yield Absent(stage="cell", name=str(cell), state=State.stale, detail=error.problem)
    for contest in contests(experiment):
        try:
            yield _times(experiment, contest)
        except FileNotFoundError:
            yield Absent(stage="time", name=str(contest), state=State.missing)
        except UserError as error:
            yield Absent(stage="time", name=str(contest), state=State.stale, detail=error.problem)
    for name, model in trainings_of(experiment):
        try:
            yield _training(experiment, name, model)
        except UserError as error:
            yield Absent(stage="train", name=f"{name}/{model}", state=State.missing, detail=error.problem)


def _said(state: State, detail: str) -> dict[str, str]:
    """How far a cell without scores is."""
    return {"state": State.missing if state is State.done else state, "detail": detail}


def _there(find: Callable[[], Path]) -> Path:
    """A result's file. Raises FileNotFoundError where there is none."""
    try:
        file = find()
    except NoResultError as error:
        raise FileNotFoundError from error
    if not file.is_file():
        raise FileNotFoundError(file)
    return file


def _cell(experiment: Experiment, cell: Cell, answers: bool) -> Found:
    """Raises FileNotFoundError where there are no scores, UserError where they are of no use."""
    cells = Path(experiment.cells_folder)
    file = _there(lambda: scores_file(experiment, cell, cells))
    folder = file.parents[1]
    scores, run = read_result(file, Scores, SCORES), read_result(folder / "run.json", RunRecord, RUN)
    wanted, scoring = cell_identity(experiment, cell), scoring_identity(experiment, cell.dataset)
    _check_of(file, scores.cell, cell._asdict())
    _check_settings(file, scores.identity, wanted)
    _check_settings(file, scores.scoring, scoring)
    if run.identity != scores.identity or run.cell != scores.cell:
        raise UserError(f"{file} scores other answers than those of {folder / 'run.json'}", "score anew")
    files = [folder / "run.json"]
    if answers:
        about = run.identity.about(run.cell)
        files += [
            _checked_rows(folder / "answers.jsonl", AnswerRow, about),
            _checked_rows(folder / "trace.jsonl", GroupTrace, about),
        ]
    # Put in place last: where scores are, all is.
    files.append(file)
    stale = other_codes(scores.identity, wanted)
    if scores.scoring.code != scoring.code:
        stale = "; ".join(filter(None, (stale, "other code of scores")))
    code = _codes(scores.identity) | {"scores": scores.scoring.code}
    return _found("cell", str(cell), files, cells, scores.identity.settings, code, stale)


def _times(experiment: Experiment, contest: Contest) -> Found:
    """Raises FileNotFoundError where there are none, UserError where they are of no use."""
    times = Path(experiment.times_folder)
    file = _there(lambda: times_file(experiment, contest, times))
    record, wanted = read_result(file, TimesRecord, TIMES), times_identity(experiment, contest)
    _check_of(file, {"dataset": record.dataset, "model": record.model}, _pair(contest))
    _check_settings(file, record.identity, wanted)
    stale = "" if record.identity.code == wanted.code else "other code of times"
    code = {"times": record.identity.code}
    return _found("time", str(contest), [file], times, record.identity.settings, code, stale)


def _training(experiment: Experiment, name: str, model: str) -> Found:
    """Raises UserError where there is no checkpoint with a curve."""
    trainings = Path(experiment.trainings_folder)
    folder = training_place(experiment, name, model, trainings)
    record = read_record(folder)
    assert record is not None, "what is trained here has a record"
    stale = "" if record.code == checkpoint_code() else "other code of training"
    files = [folder / RECORD, folder / CURVE]
    code = {"training": record.code}
    found = _found("train", f"{name}/{model}", files, trainings, None, code, stale)
    return found._replace(result=found.result.model_copy(update={"settings": record.settings}))


def _pair(contest: Contest) -> dict[str, str]:
    return {"dataset": contest.dataset, "model": contest.model}


def _check_of(file: Path, recorded: dict[str, str], wanted: dict[str, str]) -> None:
    if recorded != wanted:
        raise UserError(f"{file} is of {'/'.join(recorded.values())}", "remove it and make it anew")


def _check_settings(file: Path, recorded: Identity, wanted: Identity) -> None:
    if other := differing(recorded.settings, wanted.settings):
        raise UserError(f"{file} is of other settings: {'; '.join(other[:2])}", "make it anew")


def _checked_rows(path: Path, model: type[M], about: dict[str, str]) -> Path:
    """A file of rows whose beginning is that of the run. Raises UserError as `read_rows` does."""
    next(read_rows(path, model, about), None)
    return path


def _codes(identity: Identity) -> dict[str, str]:
    codes = {what: getattr(identity, key) for key, what in CODES.items()}
    return {what: code for what, code in codes.items() if code is not None}


def _found(
    stage: Any, name: str, files: list[Path], top: Path, settings: Any, code: dict[str, str], stale: str
) -> Found:
    """A result with its files, each by its place in the pack: that below the results' own folder."""
    room = {"cell": "cells", "time": "times", "train": "training"}[stage]
    sources = {f"{room}/{file.relative_to(top).as_posix()}": file for file in files}
    result = PackedResult(
        stage=stage,
        name=name,
        files=tuple(sources),
        settings=value_hash(settings),
        code=code,
        stale=stale,
    )
    return Found(result, sources)
