"""Results that were cut off or changed after they had been made: found before a run is planned.

Every file is written whole or not at all, and ends with a line's end. What was damaged later (a full
disk, a machine that went down, a copy that was cut off) is set aside under another name, and stays
damaged until it has been made anew: Snakemake by itself misses no file of which all else is made. How
files end is looked at, and checkpoints are read whole; a cell's rows are counted only where nothing has
read them since they were written, or one of its files has changed since.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from branchwise.config import Experiment
from branchwise.config.identity import cell_folder, groups_file, scores_path
from branchwise.config.stages import needed_by, stage_file
from branchwise.config.timing import contests, times_path
from branchwise.config.trainings import CURVE, trained_data, training_folder, trainings_of
from branchwise.data.groups_file import read_preparation
from branchwise.decoding.trained.folder import RECORD, check_files, read_record
from branchwise.errors import UserError
from branchwise.results import RunRecord, read_json
from branchwise.status.traces import lines_in

ASIDE = ".damaged"
"""Ending of a file that was set aside."""
ENDS = {
    ".svg": b"</svg>\n",
    ".pdf": b"%%EOF\n",
    ".png": b"IEND\xaeB`\x82",
    ".html": b"</html>",
    ASIDE: b"",
}
"""What files end with, by their own ending; others with a line's end."""


class Damage(NamedTuple):
    """A file that is of no use, or was set aside, and why. `is_shown`: it is a table or a figure, and
    nothing is made of it.
    """

    path: Path
    reason: str
    is_shown: bool = False


def set_aside(experiment: Experiment) -> list[Damage]:
    """Rename every damaged result of an experiment; all that are to be made anew for it."""
    found = list(damaged(experiment))
    for one in found:
        with suppress(FileNotFoundError):
            one.path.replace(_aside(one.path))
    return found


def damaged(experiment: Experiment) -> Iterator[Damage]:
    """Damaged results, those first that others are made of."""
    yield from _groups(experiment)
    yield from _stages(experiment)
    yield from _trainings(experiment)
    yield from _cells(experiment)
    for contest in contests(experiment):
        yield from _cut_off(Path(experiment.times_folder, times_path(experiment, contest)))
    for folder in (Path(experiment.results, "tables"), Path(experiment.figures)):
        for path in sorted((folder / experiment.experiment).glob("*.*")):
            for damage in _cut_off(path):
                yield damage._replace(is_shown=True)


def _groups(experiment: Experiment) -> Iterator[Damage]:
    for name in dict.fromkeys((*experiment.datasets, *trained_data(experiment))):
        path = groups_file(experiment, name)
        if cut := list(_cut_off(path)):
            yield from cut
        elif path.is_file():
            yield from _unreadable(path, _check_number)


def _check_number(path: Path) -> None:
    wanted, there = read_preparation(path).num_groups, lines_in(path) - 1
    if there != wanted:
        raise UserError(f"it has {there} of {wanted} groups", "make it anew")


def _stages(experiment: Experiment) -> Iterator[Damage]:
    paths = {
        Path(experiment.results) / stage_file(experiment, needed, cell.dataset, cell.model)
        for cell in experiment.cells
        for needed in needed_by(experiment, cell.strategy)
    }
    for path in sorted(paths):
        yield from _cut_off(path)


def _trainings(experiment: Experiment) -> Iterator[Damage]:
    for name, model in trainings_of(experiment):
        folder = experiment.trainings_folder / training_folder(experiment, name, model)
        record = folder / RECORD
        if record.is_file():
            # What is loaded is not what Snakemake looks at: without its record a checkpoint is none.
            for damage in _unreadable(folder, lambda place: check_files(place, read_record(place))):
                yield Damage(record, damage.reason)
        else:
            yield from _gone(record)
        yield from _cut_off(folder / CURVE)


def _cells(experiment: Experiment) -> Iterator[Damage]:
    for cell in experiment.cells:
        folder = Path(experiment.cells_folder, cell_folder(experiment, cell))
        if not folder.is_dir():
            continue
        scores = Path(experiment.cells_folder, scores_path(experiment, cell))
        files = [folder / name for name in ("run.json", "answers.jsonl", "trace.jsonl")]
        times = [time for file in files if (time := _time_of(file)) is not None]
        # Scoring may have read them before they were cut off, and reads no trace.
        if cut := [damage for file in files for damage in _cut_off(file)]:
            yield from cut
        elif len(times) == len(files) and _may_miss_rows(times, _time_of(scores)):
            yield from _of_cell(*files)
        if cell.dataset in experiment.judged:
            yield from _cut_off(scores.with_name("judged.json"))
        yield from _cut_off(scores)


def _may_miss_rows(times: list[int], read: int | None) -> bool:
    """Whether nothing has read a cell's files since they were written, or one of them has changed since:
    its run, the first, is written last.
    """
    return read is None or max(times) > read or times[0] != max(times)


def _of_cell(run: Path, answers: Path, trace: Path) -> Iterator[Damage]:
    """Of a cell's files that end as they should; the run says how many rows are in the others."""
    try:
        record = read_json(run, RunRecord)
    except UserError:
        # Of another version, or somebody else's: whoever reads it says so.
        return
    wanted = {answers: sum(group.num_questions for group in record.groups), trace: record.num_groups}
    for path, number in wanted.items():
        # The first line says whose they are.
        if (there := lines_in(path) - 1) != number:
            yield Damage(path, f"it has {there} of {number} rows")


def _cut_off(path: Path) -> Iterator[Damage]:
    """A file that does not end as files of its kind do."""
    end = ENDS.get(path.suffix, b"\n")
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - len(end)))
            if file.read() != end:
                yield Damage(path, "it is cut off" if size else "it is empty")
    except FileNotFoundError:
        yield from _gone(path)


def _gone(path: Path) -> Iterator[Damage]:
    """Of a file that is not there: a run was stopped between setting it aside and making it anew."""
    if _aside(path).exists():
        yield Damage(path, "found by an earlier run")


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ASIDE)


def _unreadable(path: Path, read: Callable[[Path], object]) -> Iterator[Damage]:
    try:
        read(path)
    except UserError as error:
        yield Damage(path, error.problem)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        yield Damage(path, str(error))


def _time_of(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None
