"""How far a cell is said to be, whatever lies there."""

import os
import time
from pathlib import Path

import pytest
from tests.finished import NUM_GROUPS, Finished, edit_json

from branchwise.config import load_experiment
from branchwise.config.identity import groups_name
from branchwise.data.groups_file import Preparation
from branchwise.locks import alone
from branchwise.status.cells import CellStates
from branchwise.status.standing import Standing, State

OTHER = "0" * 12


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    return Finished(tmp_path)


def standing(finished: Finished, **changes: object) -> Standing:
    """Of the first cell."""
    experiment = load_experiment([finished.config], changes)
    return CellStates(experiment, finished.folder / "logs").of(finished.cell())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def unanswered(finished: Finished) -> None:
    for path in (finished.scores(finished.cell()), finished.run(finished.cell())):
        path.unlink()


def prepared(finished: Finished) -> None:
    name = groups_name(finished.experiment, "one")
    made = Preparation(num_groups=NUM_GROUPS, num_questions=6)
    write(finished.results / f"groups/one/{name}.jsonl", made.model_dump_json() + "\n")


def test_done_until_something_is_not(finished: Finished) -> None:
    assert standing(finished) == (State.done, "")
    finished.scores(finished.cell()).unlink()
    assert standing(finished) == (State.partly, "answered, not scored")
    finished.run(finished.cell()).unlink()
    assert standing(finished) == (State.missing, "")


def test_groups_in_a_journal(finished: Finished) -> None:
    unanswered(finished)
    write(finished.journal(finished.cell()), "{}\n")
    assert standing(finished) == (State.partly, "1 groups are kept")
    prepared(finished)
    assert standing(finished) == (State.partly, f"1 of {NUM_GROUPS} groups are kept")


def test_running_while_the_lock_is_held(finished: Finished) -> None:
    unanswered(finished)
    write(finished.log("generate", finished.cell()), "error: of an earlier try\n")
    write(finished.journal(finished.cell()), "{}\n")
    with alone(finished.journal(finished.cell()).with_suffix(".lock"), pytest.fail):
        state, detail = standing(finished)
        assert state is State.running
        assert detail == f"process {os.getpid()}; 1 groups are kept"
    assert standing(finished).state is State.failed


def test_shards_count_together(finished: Finished) -> None:
    """What is answered of each, done or not, whichever of them runs or has failed."""
    unanswered(finished)
    prepared(finished)
    journal = finished.journal(finished.cell())
    first, second = (journal.with_suffix(f".{number}-of-2.jsonl") for number in (1, 2))
    place = journal.relative_to(finished.results / "journal").with_suffix("")
    write(finished.results / "shards" / place / "1-of-2/records.jsonl", "{}\n{}\n")
    assert standing(finished) == (State.partly, f"1 of {NUM_GROUPS} groups are kept")
    write(second, "{}\n")
    write(finished.log("generate", finished.cell()).with_suffix("") / "2-of-2.log", "error: no; yes\n")
    assert standing(finished) == (State.failed, f"error: no; yes (2 of {NUM_GROUPS} groups are kept)")
    with alone(first.with_suffix(".lock"), pytest.fail), alone(second.with_suffix(".lock"), pytest.fail):
        state, detail = standing(finished)
        assert (state, detail.partition(";")[0]) == (
            State.running,
            f"process {os.getpid()}, {os.getpid()}",
        )
    write(journal.with_name("ffffffff.jsonl"), "{}\n{}\n")
    assert standing(finished).detail.endswith(f"(2 of {NUM_GROUPS} groups are kept)")


def test_failed_with_what_its_log_says(finished: Finished) -> None:
    unanswered(finished)
    write(finished.log("generate", finished.cell()), "batch: 1 of 2\nerror: no memory; take less\n")
    assert standing(finished) == (State.failed, "error: no memory; take less")
    write(finished.journal(finished.cell()), "{}\n")
    assert standing(finished).detail == "error: no memory; take less (1 groups are kept)"


def test_failed_in_scoring_and_judging(finished: Finished) -> None:
    finished.scores(finished.cell()).unlink()
    write(finished.log("judge", finished.cell()), "error: no server; start it\n")
    assert standing(finished) == (State.failed, "error: no server; start it")
    write(finished.log("evaluate", finished.cell()), "error: no jieba; install it\n")
    assert standing(finished) == (State.failed, "error: no jieba; install it")


def test_an_error_that_was_mended_since_is_none(finished: Finished) -> None:
    """A log that is older than the run record is of an earlier try."""
    log = finished.log("evaluate", finished.cell())
    write(log, "error: an old one\n")
    os.utime(log, (time.time() - 1000,) * 2)
    finished.scores(finished.cell()).unlink()
    assert standing(finished) == (State.partly, "answered, not scored")


def test_stale_by_code_says_which(finished: Finished) -> None:
    scores, run = finished.scores(finished.cell()), finished.run(finished.cell())
    edit_json(scores, "scoring", "code", value=OTHER)
    state, detail = standing(finished)
    assert state is State.stale
    assert detail.startswith(f"scores: other code of scores ({OTHER}, here ")
    edit_json(run, "identity", "code", value=OTHER)
    state, detail = standing(finished)
    assert state is State.stale
    assert detail.startswith(f"other code of answers ({OTHER}, here ")


def test_stale_by_settings_says_which(finished: Finished) -> None:
    assert standing(finished, max_new_tokens=7) == (
        State.stale,
        "there of other settings: max_new_tokens (32, here 7)",
    )
    other = {"datasets": {"one": {"source": "worlds", "kinds": ["two_hop"], "group_size": 5}}}
    state, detail = standing(finished, define=other, threads=2, max_new_tokens=7)
    assert state is State.stale
    assert "groups.group_size (3, here 5)" in detail
    assert detail.endswith(", and 1 more")


def test_files_that_are_broken_or_anothers(finished: Finished) -> None:
    run = finished.run(finished.cell())
    content = run.read_bytes()
    run.write_bytes(content[:-9])
    assert standing(finished) == (State.stale, f"{run} is no run record: it is cut off")
    run.write_bytes(content)
    edit_json(run, "cell", "dataset", value="two")
    assert standing(finished) == (State.stale, f"{run} is of cell two/tiny/batch/tree")
    run.write_bytes(content)
    edit_json(run, "schema_version", value=3)
    assert standing(finished).detail.startswith(f"{run} is of schema version 3, not of 4")
    run.unlink()
    run.mkdir()
    assert standing(finished) == (State.stale, f"{run} cannot be read: Is a directory")


def test_cached_results_count_by_their_scores(finished: Finished) -> None:
    finished.run(finished.cell()).unlink()
    assert standing(finished, cached=True) == (State.done, "")
    edit_json(finished.scores(finished.cell()), "identity", "code", value=OTHER)
    assert standing(finished, cached=True).detail.startswith(f"other code of answers ({OTHER}, ")
    edit_json(finished.scores(finished.cell()), "identity", "settings", "threads", value=9)
    assert standing(finished, cached=True) == (State.stale, "other settings: threads (9, here 1)")
    finished.scores(finished.cell()).unlink()
    assert standing(finished, cached=True) == (State.missing, "")
