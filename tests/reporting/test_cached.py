"""Cached results that are stale, foreign or broken: named in one line when figures are to be drawn of
them, and left as they are.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.finished import Finished, edit_json

from branchwise.config import Experiment, load_experiment
from branchwise.errors import UserError
from branchwise.reporting.frames import load_results

Change = Callable[[Finished, Path], None]


def cached(finished: Finished, **changes: object) -> Experiment:
    given = {"cached": True, "cells_at": str(finished.results / "cells"), **changes}
    return load_experiment([finished.config], given)


def cut_off(finished: Finished, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def run_record(finished: Finished, path: Path) -> None:
    path.write_bytes(path.parents[1].joinpath("run.json").read_bytes())


def folder(finished: Finished, path: Path) -> None:
    path.unlink()
    path.mkdir()


CASES: dict[str, tuple[Change, str]] = {
    "other schema version": (
        lambda finished, path: edit_json(path, "schema_version", value=3),
        r"is of schema version 3, not of 4, which this program reads",
    ),
    "truncated": (cut_off, "is no file of scores: it is cut off"),
    "other kind": (run_record, "is no file of scores: it has no scoring"),
    "other cell": (
        lambda finished, path: edit_json(path, "cell", "strategy", value="sequential"),
        "is of cell one/tiny/sequential/tree, not of one/tiny/batch/tree",
    ),
    "other identity": (
        lambda finished, path: edit_json(path, "identity", "settings", "max_new_tokens", value=5),
        r"(of other settings than|are of other settings).*: answers.max_new_tokens \(5, here 32\)",
    ),
    "unreadable": (folder, "cannot be read: Is a directory"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("moved", [False, True])
def test_each_case_is_named_in_a_line_and_left_alone(tmp_path: Path, case: str, moved: bool) -> None:
    """`moved`: in a folder of another name, as where data or models are not on this machine."""
    finished = Finished(tmp_path)
    load_results(cached(finished), finished.results / "cells")
    change, told = CASES[case]
    path = finished.scores(finished.cell())
    change(finished, path)
    if moved:
        path.parents[1].rename(path.parents[1].with_name("0" * 8))
        path = path.parents[1].with_name("0" * 8) / path.parent.name / path.name
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UserError, match=told) as raised:
        load_results(cached(finished), finished.results / "cells")
    assert "\n" not in str(raised.value)
    assert "one/tiny/batch/tree" in str(raised.value)
    assert (path.read_bytes() if path.is_file() else None) == before


def test_a_broken_one_beside_the_right_one_is_no_hindrance(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    place = finished.run(finished.cell()).parent
    place.rename(place.with_name("1" * 8))
    (place.with_name("0" * 8) / "00000000").mkdir(parents=True)
    (place.with_name("0" * 8) / "00000000/scores.json").write_text("{")
    results = load_results(cached(finished), finished.results / "cells")
    assert results.files[finished.cell()].parents[1].name == "1" * 8


def test_results_of_other_code_are_shown_and_named(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    assert load_results(cached(finished), finished.results / "cells").of_other_code == []
    edit_json(finished.scores(finished.cell()), "identity", "code", value="0" * 12)
    for path in finished.results.glob("times/two/**/*.json"):
        edit_json(path, "identity", "code", value="0" * 12)
    results = load_results(cached(finished), finished.results / "cells")
    how = "are shown as they were made, by other code than what is here, the first"
    assert results.of_other_code == [
        f"1 cells {how}: one/tiny/batch/tree",
        f"1 timing jobs {how}: two/tiny/tree",
    ]
    with pytest.raises(UserError, match="was made by other code than what is here now"):
        load_results(finished.experiment, finished.results / "cells")
