"""An experiment whose results are there, of real identities and made up: nothing was asked."""

import json
from pathlib import Path
from typing import Any

import yaml

from branchwise.config import Cell, Experiment, load_experiment
from branchwise.config.hashing import checkpoint_code
from branchwise.config.identity import cell_identity, scores_path, scoring_identity
from branchwise.decoding.trained.folder import BaseModelRecord, CheckpointRecord
from branchwise.evaluation.score import score_cell
from branchwise.results import AnswerRow, GroupRun, write_json, write_rows
from branchwise.trace import GroupTrace
from tests.reporting.made import TOKENS, run_record
from tests.reporting.timed import write_times

NUM_GROUPS, SIZE = 2, 3
WORLD = {"source": "worlds", "kinds": ["two_hop"], "group_size": SIZE, "num_groups": NUM_GROUPS}


TAUGHT: dict[str, Any] = {
    "datasets": ["two"],
    "strategies": ["batch", "taught"],
    "timed_groups": 0,
    "define": {
        "datasets": {"one": WORLD, "two": {**WORLD, "seed": 1}},
        "strategies": {"taught": {"module": "batch", "training": "short"}},
        "trainings": {"short": {"datasets": ["one"], "held_out": ["two"], "kind": "head", "steps": 2}},
    },
}
"""Changes of the config: two cells, one of a strategy that is trained."""


def checkpoint(settings: str) -> CheckpointRecord:
    """What the checkpoint of that training says of itself."""
    base = BaseModelRecord(name="tiny", files=None, architecture="a", hidden_size=1, vocabulary=1)
    return CheckpointRecord(
        **{"name": "short", "parts": ("head",), "base": base, "recipe": {"kind": "head"}},
        **{"settings": settings, "code": checkpoint_code(), "data": {}, "step": 2, "files": {}},
    )


class Finished:
    """A config of four cells and two timing jobs in a folder, and their results in `results` there."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.folder = folder
        self.config = folder / "trial.yaml"
        self.results = folder / "results"
        self.content: dict[str, Any] = {
            "experiment": "trial",
            "datasets": ["one", "two"],
            "models": ["tiny"],
            "strategies": ["batch", "sequential"],
            "decoders": ["tree"],
            "timed_groups": NUM_GROUPS,
            "results": str(self.results),
            "define": {"datasets": {"one": WORLD, "two": {**WORLD, "seed": 1}}},
        }
        self.change(**changes)
        for cell in self.experiment.cells:
            self.write(cell)
        walls = {f"g{number}": 0.1 + number for number in range(NUM_GROUPS)}
        write_times(self.experiment, lambda cell: walls, self.results / "times")

    def change(self, **changes: Any) -> None:
        """Write the config with other settings."""
        self.content |= changes
        self._experiment: Experiment | None = None
        self.config.write_text(yaml.safe_dump(self.content), encoding="utf-8")

    @property
    def experiment(self) -> Experiment:
        """What the config says, read once."""
        self._experiment = self._experiment or load_experiment([self.config])
        return self._experiment

    def cell(self, dataset: str = "one", strategy: str = "batch") -> Cell:
        return Cell(dataset, "tiny", strategy, "tree")

    def scores(self, cell: Cell) -> Path:
        """The file of a cell's scores; its run record lies in the folder above."""
        return self.results / "cells" / scores_path(self.experiment, cell)

    def run(self, cell: Cell) -> Path:
        return self.scores(cell).parents[1] / "run.json"

    def journal(self, cell: Cell) -> Path:
        """The journal that a run of the cell would have."""
        folder = self.run(cell).parent.relative_to(self.results / "cells")
        return self.results / "journal" / folder.with_suffix(".jsonl")

    def log(self, rule: str, cell: Cell) -> Path:
        """The log of a rule, below the folder of logs."""
        path = self.run(cell).parent if rule == "generate" else self.scores(cell).parent
        return self.folder / "logs" / rule / path.relative_to(self.results / "cells").with_suffix(".log")

    def write(self, cell: Cell) -> None:
        """The four files of a cell."""
        experiment, folder = self.experiment, self.run(cell).parent
        identity = cell_identity(experiment, cell)
        names = [f"g{number}" for number in range(NUM_GROUPS)]
        groups = [
            GroupRun(
                **{"id": name, "num_questions": SIZE, "forward_passes": 4, "num_asks": 1},
                **{"tokens": TOKENS, "tokens_by_role": {"answerer": TOKENS}},
            )
            for name in names
        ]
        rows = [
            AnswerRow(
                **{"group": name, "question": f"q{place}", "text": "?", "kind": "made"},
                **{"answer_type": "span", "golds": ("Oslo",), "guess": None, "raw": "Oslo"},
                **{"well_formed": True, "asks": (0,), "tokens": TOKENS, "start_s": 0.0, "end_s": 0.1},
                answer="Oslo" if place else "Rome",
            )
            for name in names
            for place in range(SIZE)
        ]
        run = run_record(cell, groups, TOKENS, identity)
        about = identity.about(run.cell)
        write_rows(folder / "answers.jsonl", rows, about)
        write_rows(folder / "trace.jsonl", [GroupTrace(group=name, asks=()) for name in names], about)
        write_json(folder / "run.json", run)
        scoring = scoring_identity(experiment, cell.dataset)
        write_json(self.scores(cell), score_cell(rows, run, scoring))


def edit_json(path: Path, *keys: str, value: Any) -> None:
    """Change one value in a JSON file."""
    content = json.loads(path.read_text(encoding="utf-8"))
    inner = content
    for key in keys[:-1]:
        inner = inner[key]
    inner[keys[-1]] = value
    path.write_text(json.dumps(content), encoding="utf-8")
