"""What was cut off is made anew, although all that was made of it is there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workflow.project import DRAWN, answers, edited, planned, snakemake

pytestmark = pytest.mark.slow

CELL = "results/cells/small_g2/random/batch/tree/*"
ALL_OF_SMALL = {"generate": 3, "evaluate": 3, "time": 3}


@contextmanager
def cut(path: Path) -> Iterator[None]:
    """Half a file, for as long as this lasts."""
    text = path.read_text(encoding="utf-8")
    with edited(path, text[: len(text) // 2]):
        yield
    path.with_name(f"{path.name}.damaged").unlink()


@pytest.mark.parametrize(
    ("pattern", "jobs"),
    [
        (f"{CELL}/run.json", {"generate": 1, "evaluate": 1}),
        (f"{CELL}/answers.jsonl", {"generate": 1, "evaluate": 1}),
        (f"{CELL}/trace.jsonl", {"generate": 1, "evaluate": 1}),
        (f"{CELL}/*/scores.json", {"evaluate": 1}),
        ("results/groups/small_g2/*.jsonl", {"prepare": 1, **ALL_OF_SMALL}),
        ("results/times/own/random/tree/*.json", {"time": 1}),
    ],
)
def test_it_is_planned(finished: Path, pattern: str, jobs: dict[str, int]) -> None:
    """A run.json that was cut off when the tables were there was set aside, and "Nothing to be done"."""
    (path,) = finished.glob(pattern)
    with cut(path):
        assert planned(finished) == {**DRAWN, **jobs}
        # Whoever found it may have been stopped.
        assert planned(finished) == {**DRAWN, **jobs}
    assert planned(finished) == {}


def test_a_table_is_drawn_again(finished: Path) -> None:
    with cut(finished / "results/tables/trial/accuracy.csv"):
        assert planned(finished) == {"tables": 1, "all": 1}


def test_it_is_made_as_it_was(finished: Path) -> None:
    before = answers(finished)
    (path,) = finished.glob(f"{CELL}/run.json")
    os.truncate(path, 100)
    done = snakemake(finished)
    assert done.returncode == 0, done.stderr
    assert f"{path.relative_to(finished)} is damaged (it is cut off): set aside as" in done.stderr
    assert answers(finished) == before
    assert planned(finished) == {}
    path.with_name("run.json.damaged").unlink()
