"""The whole of an experiment's standing, and how it is counted."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from branchwise.config import Experiment
from branchwise.status.cells import CellStates
from branchwise.status.jobs import found_before, prepared, timed, trained
from branchwise.status.standing import Row, State

CELL = "cell"
NEEDED = (CELL, "train", "time")
"""Stages whose results tables and figures are made of: what else there is only leads to them."""


@dataclass(frozen=True)
class Report:
    """Where an experiment stands: the rows of its cells, and those of everything else."""

    experiment: str
    cells: tuple[Row, ...]
    others: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, in the order in which work is done."""
        late = tuple(row for row in self.others if row.stage == "time")
        return (*(row for row in self.others if row.stage != "time"), *self.cells, *late)

    @property
    def is_done(self) -> bool:
        """Whether all is there that tables and figures are made of."""
        return all(row.state is State.done for row in self.rows if row.stage in NEEDED)

    def counts(self) -> dict[str, dict[str, int]]:
        """Stage -> state -> how many, states that nothing is in left out."""
        found: dict[str, Counter[str]] = {}
        for row in self.rows:
            found.setdefault(row.stage, Counter())[row.state.value] += 1
        return {
            stage: {s: n for s in State if (n := counter[s.value])} for stage, counter in found.items()
        }

    def only(self, states: Iterable[State]) -> tuple[Row, ...]:
        """Rows in some states; all where none is named."""
        wanted = set(states) or set(State)
        return tuple(row for row in self.rows if row.state in wanted)

    def as_json(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The same as JSON data, with some of the rows."""
        return {
            "experiment": self.experiment,
            "done": self.is_done,
            "counts": self.counts(),
            "rows": [row._asdict() for row in rows],
        }


def report_on(experiment: Experiment, logs: Path) -> Report:
    """Look at everything that an experiment is made of."""
    states = CellStates(experiment, logs)
    cells = tuple(Row(CELL, str(cell), *states.of(cell)) for cell in experiment.cells)
    kinds = (trained, timed) if experiment.cached else (prepared, found_before, trained, timed)
    others = tuple(row for kind in kinds for row in kind(experiment, logs))
    return Report(experiment.experiment, cells, others)


def in_words(counts: dict[str, int]) -> str:
    """Counts of states on a line: "3 of 5 done, 1 failed, 1 missing"."""
    total = sum(counts.values())
    parts = [f"{counts.get(State.done, 0)} of {total} done"]
    return ", ".join([*parts, *(f"{n} {state}" for state, n in counts.items() if state != State.done)])
