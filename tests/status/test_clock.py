"""A clock that was set back: what was made before is not of the future any more."""

import itertools
import os
import time
from pathlib import Path

from tests.finished import Finished

from branchwise.status.clock import brought_back

HOUR_NS = 3600 * 10**9


def test_files_of_the_future_come_back_in_their_order(tmp_path: Path) -> None:
    made = Finished(tmp_path)
    files = sorted(path for path in made.results.rglob("*") if path.is_file())
    assert brought_back(made.experiment) == 0
    kept, *later = files
    before = kept.stat().st_mtime_ns
    began = time.time_ns()
    for number, path in enumerate(later):
        at = began + HOUR_NS + number * 10**9
        os.utime(path, ns=(at, at))
    assert brought_back(made.experiment) == len(later)
    assert kept.stat().st_mtime_ns == before
    times = [path.stat().st_mtime_ns for path in later]
    assert max(times) <= time.time_ns()
    assert {after - sooner for sooner, after in itertools.pairwise(times)} == {10**9}
    assert brought_back(made.experiment) == 0


def test_clocks_of_two_machines_may_differ_a_little(tmp_path: Path) -> None:
    made = Finished(tmp_path)
    run = made.run(made.cell())
    soon = time.time_ns() + 2 * 10**9
    os.utime(run, ns=(soon, soon))
    assert brought_back(made.experiment) == 0
    assert run.stat().st_mtime_ns == soon


def test_cells_that_lie_elsewhere_come_back_too(tmp_path: Path) -> None:
    made = Finished(tmp_path)
    elsewhere = tmp_path / "elsewhere/cells"
    elsewhere.parent.mkdir()
    (made.results / "cells").rename(elsewhere)
    made.change(cells_at=str(elsewhere))
    run = next(elsewhere.rglob("run.json"))
    later = time.time_ns() + HOUR_NS
    os.utime(run, ns=(later, later))
    assert brought_back(made.experiment) == 1
    assert run.stat().st_mtime_ns <= time.time_ns()
