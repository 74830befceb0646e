"""What a job is made into: groups that no shot shows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from branchwise.cells.job import CellFiles, CellJob
from branchwise.cells.making import groups_of
from branchwise.data.groups_file import Preparation
from branchwise.data.types import Group, Question
from branchwise.errors import UserError
from branchwise.files import value_hash
from branchwise.prompts import PromptStyle
from branchwise.strategies.entry import StrategyEntry

PASSAGE = "The mill stood by the river until the flood of the year in which the bridge was built."
GROUP = Group(id="g1", context=PASSAGE, questions=(Question(id="q", text="Where?", golds=("x",)),))
OTHER = GROUP.model_copy(update={"id": "shot1", "context": "Another text."})


def job_with(shots: tuple[Group, ...]) -> CellJob:
    return cast(
        CellJob,
        SimpleNamespace(
            style=PromptStyle(shots=shots),
            strategy=StrategyEntry(module="batch"),
            identity=SimpleNamespace(settings={"groups": "mine"}),
            cell={"strategy": "batch"},
            checkpoint=None,
        ),
    )


def written(folder: Path) -> CellFiles:
    facts: dict[str, Any] = {"num_groups": 1, "num_questions": 1}
    header = Preparation(settings=value_hash("mine"), **facts).model_dump_json()
    path = folder / "groups.jsonl"
    path.write_text(f"{header}\n{GROUP.model_dump_json()}\n")
    return CellFiles(path, folder, folder / "journal")


def test_a_shot_of_another_text_is_shown(tmp_path: Path) -> None:
    groups, found = groups_of(job_with((OTHER,)), written(tmp_path))
    assert [group.id for group in groups] == ["g1"]
    assert found == {}


def test_a_shot_that_is_asked_is_refused_in_one_line(tmp_path: Path) -> None:
    """Whatever its id and its question: the passage is an evaluation's."""
    leaking = OTHER.model_copy(update={"context": PASSAGE.upper()})
    with pytest.raises(UserError, match="evaluation group g1 holds the passage of shot shot1"):
        groups_of(job_with((leaking,)), written(tmp_path))
