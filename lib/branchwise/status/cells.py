"""How far each cell of an experiment is, from the heads of its files, its lock, its logs and its journal.

Few looks at the disk a cell: an experiment may have ten thousand.
"""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity, differing, groups_file, scoring_identity
from branchwise.data.groups_file import read_preparation
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.reporting.cells import NoResultError, scores_file
from branchwise.reporting.heads import RUN, SCORES, Kind, head_of
from branchwise.results import Identity
from branchwise.status.standing import Standing, State
from branchwise.status.traces import failure_of, holder_of, lines_in, written_at

CODES = {
    "code": "answers",
    "dependencies_code": "dependencies",
    "paraphrases_code": "paraphrases",
    "confidence_code": "confidence",
    "training_code": "training",
}
"""Hashes of an identity -> what they are of."""


class CellStates:
    """The standing of cells. `logs` is the folder in which Snakemake's rules write them."""

    def __init__(self, experiment: Experiment, logs: Path) -> None:
        self.experiment = experiment
        self.logs = logs
        self.cells = Path(experiment.cells_folder)
        self.journals = Path(experiment.results, "journal")
        self.shards = Path(experiment.results, "shards")
        self._num_groups: dict[str, int | None] = {}
        self._scoring: dict[str, Identity] = {}

    def of(self, cell: Cell) -> Standing:
        """How far a cell is: done where answers and scores are those of the config and of this code."""
        if self.experiment.cached:
            return self._of_cached(cell)
        return _OneCell(self, cell).standing()

    def scoring(self, dataset: str) -> Identity:
        """What scores of a data set are to be, beside the answers."""
        if dataset not in self._scoring:
            self._scoring[dataset] = scoring_identity(self.experiment, dataset)
        return self._scoring[dataset]

    def num_groups(self, dataset: str) -> int | None:
        """Groups of a data set, as its file says; None where it is not there."""
        if dataset not in self._num_groups:
            path = groups_file(self.experiment, dataset)
            try:
                self._num_groups[dataset] = read_preparation(path).num_groups
            except (UserError, OSError, ValueError):
                self._num_groups[dataset] = None
        return self._num_groups[dataset]

    def _of_cached(self, cell: Cell) -> Standing:
        """Of cached results the scores count alone; those of other code are shown as they are."""
        try:
            file = scores_file(self.experiment, cell, self.cells)
        except NoResultError:
            return Standing(State.missing)
        except UserError as error:
            return Standing(State.stale, error.problem)
        problem = _OneCell(self, cell).problem_with(file, SCORES)
        return Standing(State.stale, problem) if problem else Standing(State.done)


class _OneCell:
    """One cell, each fact looked up when it is asked for."""

    def __init__(self, states: CellStates, cell: Cell) -> None:
        self.states = states
        self.cell = cell
        self.identity = cell_identity(states.experiment, cell)
        self.scoring = states.scoring(cell.dataset)
        # As text: a hundred thousand paths are slow to build.
        self.place = "/".join(cell)
        self.settings = value_hash(self.identity.settings)
        self.scored = f"{self.place}/{self.settings}/{value_hash(self.scoring.settings)}"
        self.run_file = Path(f"{states.cells}/{self.place}/{self.settings}/run.json")

    def standing(self) -> Standing:
        scores = self.problem_with(Path(f"{self.states.cells}/{self.scored}/scores.json"), SCORES)
        if scores == "" and self.run_problem == "":
            return Standing(State.done)
        holders = [who for path in self._kept_in(".lock") if (who := holder_of(path)) is not None]
        if holders:
            return Standing(State.running, f"process {', '.join(holders)}{self._kept('; ')}")
        if self.run_problem == "":
            return self._scoring(scores)
        if (failure := self._failure()) is not None:
            return Standing(State.failed, f"{failure}{self._kept(' (', ')')}")
        if self.run_problem is not None:
            return Standing(State.stale, self.run_problem)
        if kept := self._kept():
            return Standing(State.partly, kept)
        other = self._of_other_settings()
        return Standing(State.stale, other) if other else Standing(State.missing)

    @cached_property
    def run_problem(self) -> str | None:
        """What is wrong with the answers that are there; "" if nothing, None where there are none."""
        return self.problem_with(self.run_file, RUN)

    def _scoring(self, scores: str | None) -> Standing:
        """Of a cell whose answers are right, and whose scores are not."""
        since = written_at(self.run_file)
        for rule in ("evaluate", "judge"):
            failure = failure_of(self.states.logs / rule / f"{self.scored}.log", since)
            if failure is not None:
                return Standing(State.failed, failure)
        if scores is not None:
            return Standing(State.stale, f"scores: {scores}")
        return Standing(State.partly, "answered, not scored")

    def _failure(self) -> str | None:
        """What answering ended by, in one job or in one of several."""
        since = written_at(self.run_file)
        logs = f"{self.states.logs}/generate/{self.place}/{self.settings}"
        shards = [f"{logs}/{name}" for name in _names_in(logs) if name.endswith(".log")]
        told = (failure_of(Path(log), since) for log in (f"{logs}.log", *shards))
        return next((failure for failure in told if failure is not None), None)

    def problem_with(self, path: Path, kind: Kind) -> str | None:
        """What is wrong with a result file; "" if nothing, None where there is none."""
        try:
            head = head_of(path, kind)
        except UserError as error:
            return error.problem if path.exists() else None
        if head["cell"] != self.cell._asdict():
            return f"{path} is of cell {'/'.join(map(str, head['cell'].values()))}"
        if other := differing(head["identity"].settings, self.identity.settings):
            return f"other settings: {'; '.join(other[:2])}"
        other_code = other_codes(head["identity"], self.identity)
        if not other_code and kind is SCORES and head["scoring"].code != self.scoring.code:
            other_code = _other_code("scores", head["scoring"].code, self.scoring.code)
        return other_code

    def _kept_in(self, suffix: str) -> Iterator[Path]:
        """Journals (`.jsonl`) or locks (`.lock`) of the cell, or of its shards (`HASH.2-of-4.lock`)."""
        folder = f"{self.states.journals}/{self.place}"
        for name in self._journal_names:
            if name.endswith(suffix):
                yield Path(f"{folder}/{name}")

    @cached_property
    def _journal_names(self) -> list[str]:
        names = _names_in(f"{self.states.journals}/{self.place}")
        return [name for name in names if name.startswith(f"{self.settings}.")]

    def _kept(self, before: str = "", after: str = "") -> str:
        """How many groups journals and finished shards keep; "" if none."""
        number = sum(map(lines_in, self._kept_in(".jsonl")))
        shards = f"{self.states.shards}/{self.place}/{self.settings}"
        # The first line says whose they are.
        rows = (lines_in(Path(f"{shards}/{name}/records.jsonl")) - 1 for name in _names_in(shards))
        number += sum(max(0, one) for one in rows)
        if not number:
            return ""
        of = self.states.num_groups(self.cell.dataset)
        total = "" if of is None else f" of {of}"
        return f"{before}{number}{total} groups are kept{after}"

    def _of_other_settings(self) -> str | None:
        """In what the nearest result beside this one differs; None where there is none."""
        found: list[list[str]] = []
        folder = f"{self.states.cells}/{self.place}"
        for name in _names_in(folder):
            try:
                settings = head_of(Path(f"{folder}/{name}/run.json"), RUN)["identity"].settings
            except UserError:
                continue
            found.append(differing(settings, self.identity.settings))
        if not found:
            return None
        near = min(found, key=len)
        more = f", and {len(near) - 2} more" if len(near) > 2 else ""
        return f"there of other settings: {'; '.join(near[:2])}{more}"


def other_codes(recorded: Identity, wanted: Identity, wanted_is: str = "here") -> str:
    """Which hashes of code of a result are not the wanted ones, in words; "" if none."""
    pairs = {what: (getattr(recorded, key), getattr(wanted, key)) for key, what in CODES.items()}
    differ = {what: pair for what, pair in pairs.items() if pair[0] != pair[1]}
    return "; ".join(_other_code(what, *pair, wanted_is) for what, pair in differ.items())


def _other_code(what: str, recorded: str | None, wanted: str | None, wanted_is: str = "here") -> str:
    return f"other code of {what} ({recorded}, {wanted_is} {wanted})"


def _names_in(folder: str) -> list[str]:
    """Names in a folder; none where there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError:
        return []
