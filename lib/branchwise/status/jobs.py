"""How far everything beside the cells is: data, stages before answering, trainings and times."""

from collections.abc import Iterator
from pathlib import Path

from branchwise.config import Experiment
from branchwise.config.hashing import checkpoint_code
from branchwise.config.identity import differing, groups_file
from branchwise.config.stages import Needed, needed_by, stage_file
from branchwise.config.timing import Contest, contests, times_identity, times_path
from branchwise.config.trainings import CURVE, trained_data, training_folder, trainings_of
from branchwise.data.groups_file import read_preparation
from branchwise.decoding.trained.folder import RECORD, read_record
from branchwise.errors import UserError
from branchwise.reporting.cells import NoResultError, times_file
from branchwise.reporting.heads import TIMES, head_of
from branchwise.stages import STAGES
from branchwise.status.standing import Row, Standing, State
from branchwise.status.traces import failure_of, holder_of, lines_in

_COMMANDS = {kind.stage: kind.command for kind in STAGES}


def prepared(experiment: Experiment, logs: Path) -> Iterator[Row]:
    """A row a data set of groups, those that trainings read among them."""
    names = dict.fromkeys((*experiment.datasets, *trained_data(experiment)))
    for name in names:
        path = groups_file(experiment, name)
        try:
            standing = Standing(State.done, f"{read_preparation(path).num_groups} groups")
        except (UserError, OSError, ValueError) as error:
            standing = _not_there(path, logs / f"prepare/{name}/{path.stem}.log", str(error))
        yield Row("prepare", name, *standing)


def found_before(experiment: Experiment, logs: Path) -> Iterator[Row]:
    """A row a file of the stages before answering. What code they were made by is not looked at here: it
    is part of the identity of the cells that use them.
    """
    wanted: dict[Path, Needed] = {}
    for cell in experiment.cells:
        for needed in needed_by(experiment, cell.strategy):
            wanted[stage_file(experiment, needed, cell.dataset, cell.model)] = needed
    for place, needed in wanted.items():
        path = experiment.results / place
        log = Path(logs, _COMMANDS[needed.stage], *place.parts[1:]).with_suffix(".log")
        kept = lines_in(path.with_name(f".{path.name}.journal.jsonl"))
        standing = Standing(State.done) if path.is_file() else _not_there(path, log, "", kept)
        yield Row(_COMMANDS[needed.stage], str(Path(*place.parts[1:-1])), *standing)


def trained(experiment: Experiment, logs: Path) -> Iterator[Row]:
    """A row a checkpoint that the experiment trains."""
    for name, model in trainings_of(experiment):
        place = training_folder(experiment, name, model)
        folder = experiment.trainings_folder / place
        yield Row("train", f"{name}/{model}", *_training(experiment, folder, logs / f"train/{place}.log"))


def _training(experiment: Experiment, folder: Path, log: Path) -> Standing:
    if not (folder / RECORD).is_file():
        if (process := holder_of(folder.with_name(f"{folder.name}.work.lock"))) is not None:
            return Standing(State.running, f"process {process}")
        if experiment.cached and (others := sorted(folder.parent.glob(f"*/{RECORD}"))):
            return _training(experiment, others[0].parent, log)
        return _not_there(folder / RECORD, log)
    try:
        record = read_record(folder)
    except UserError as error:
        return Standing(State.stale, error.problem)
    if record is not None and record.code != checkpoint_code():
        return Standing(State.stale, f"other code ({record.code}, here {checkpoint_code()})")
    if not (folder / CURVE).is_file():
        return Standing(State.partly, f"{folder / CURVE} is missing")
    return Standing(State.done)


def timed(experiment: Experiment, logs: Path) -> Iterator[Row]:
    """A row a timing job."""
    for contest in contests(experiment):
        yield Row("time", str(contest), *_times(experiment, contest, logs))


def _times(experiment: Experiment, contest: Contest, logs: Path) -> Standing:
    place = times_path(experiment, contest)
    wanted = times_identity(experiment, contest)
    try:
        path = times_file(experiment, contest, Path(experiment.times_folder))
    except NoResultError:
        return Standing(State.missing)
    except UserError as error:
        return Standing(State.stale, error.problem)
    if not path.is_file():
        kept = lines_in(Path(experiment.results, "journal/times", place).with_suffix(".jsonl"))
        return _not_there(path, (logs / "time" / place).with_suffix(".log"), "", kept)
    try:
        recorded = head_of(path, TIMES)["identity"]
    except UserError as error:
        return Standing(State.stale, error.problem)
    if other := differing(recorded.settings, wanted.settings):
        return Standing(State.stale, f"other settings: {'; '.join(other[:2])}")
    if recorded.code != wanted.code:
        return Standing(State.stale, f"other code ({recorded.code}, here {wanted.code})")
    return Standing(State.done)


def _not_there(path: Path, log: Path, problem: str = "", kept: int = 0) -> Standing:
    """The standing of a file that is not there, or is of no use for a problem."""
    if (failure := failure_of(log)) is not None:
        return Standing(State.failed, failure)
    if path.exists():
        return Standing(State.stale, problem)
    return (
        Standing(State.partly, f"{kept} groups are in the journal") if kept else Standing(State.missing)
    )
