"""How far everything beside the cells is."""

from pathlib import Path

import pytest
from tests.finished import TAUGHT, Finished, checkpoint, edit_json

from branchwise.config.hashing import checkpoint_code
from branchwise.config.stages import needed_by, stage_file
from branchwise.config.trainings import training_folder
from branchwise.locks import alone
from branchwise.results import write_json
from branchwise.status.jobs import found_before, prepared, timed, trained
from branchwise.status.report import in_words, report_on
from branchwise.status.standing import Row, State


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_groups_that_are_missing_failed_or_broken(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    logs = tmp_path / "logs"
    assert list(prepared(finished.experiment, logs)) == [
        Row("prepare", "one", State.missing, ""),
        Row("prepare", "two", State.missing, ""),
    ]
    from branchwise.config.identity import groups_name

    name = groups_name(finished.experiment, "one")
    write(logs / f"prepare/one/{name}.log", "error: row 3 is none; mend it\n")
    write(finished.results / f"groups/two/{groups_name(finished.experiment, 'two')}.jsonl", "{}\n")
    one, two = prepared(finished.experiment, logs)
    assert one[2:] == (State.failed, "error: row 3 is none; mend it")
    assert two.state is State.stale
    assert "this version reads groups of version 2" in two.detail


def test_stages_before_are_found_where_rules_put_them(tmp_path: Path) -> None:
    finished = Finished(tmp_path, strategies=["batch", "collab_heuristic"], timed_groups=0)
    experiment, logs = finished.experiment, tmp_path / "logs"
    (needed,) = needed_by(experiment, "collab_heuristic")
    place = stage_file(experiment, needed, "one", "tiny")
    assert [row.state for row in found_before(experiment, logs)] == [State.missing] * 2
    path = finished.results / place
    write(path.with_name(f".{path.name}.journal.jsonl"), "{}\n")
    assert next(found_before(experiment, logs)) == (
        *("depend", "one/tiny/heuristic"),
        *(State.partly, "1 groups are in the journal"),
    )
    write((logs / "depend" / Path(*place.parts[1:])).with_suffix(".log"), "error: no; yes\n")
    assert next(found_before(experiment, logs))[2:] == (State.failed, "error: no; yes")
    write(path, "{}\n")
    assert next(found_before(experiment, logs)).state is State.done


def test_times(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    logs = tmp_path / "logs"
    assert [row.state for row in timed(finished.experiment, logs)] == [State.done] * 2
    first, second = sorted(finished.results.glob("times/**/*.json"))
    edit_json(first, "identity", "code", value="0" * 12)
    place = second.relative_to(finished.results / "times")
    second.unlink()
    write(finished.results / "journal/times" / place.with_suffix(".jsonl"), "{}\n{}\n")
    one, two = timed(finished.experiment, logs)
    assert one.state is State.stale and one.detail.startswith("other code (000000000000, here ")
    assert two == ("time", "two/tiny/tree", State.partly, "2 groups are in the journal")
    write(logs / "time" / place.with_suffix(".log"), "error: busy; wait\n")
    assert list(timed(finished.experiment, logs))[1][2:] == (State.failed, "error: busy; wait")


def test_trainings(tmp_path: Path) -> None:
    finished = Finished(tmp_path, **TAUGHT)
    experiment, logs = finished.experiment, tmp_path / "logs"

    def row() -> Row:
        (found,) = trained(experiment, logs)
        return found

    assert row() == ("train", "short/tiny", State.missing, "")
    folder = finished.results / "training" / training_folder(experiment, "short", "tiny")
    with alone(folder.with_name(f"{folder.name}.work.lock"), pytest.fail):
        assert row().state is State.running
    write_json(folder / "checkpoint.json", checkpoint(folder.name))
    assert row().state is State.partly
    write(folder / "curve.csv", "step\n")
    assert row().state is State.done
    edit_json(folder / "checkpoint.json", "code", value="other")
    assert row()[2:] == (State.stale, f"other code (other, here {checkpoint_code()})")
    # A cell's identity has the training in it, so that all is done again.
    assert [one.state for one in report_on(experiment, logs).cells] == [State.done] * 2


def test_all_is_done_whatever_only_leads_there(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    report = report_on(finished.experiment, tmp_path / "logs")
    assert report.is_done
    assert report.counts() == {"prepare": {"missing": 2}, "cell": {"done": 4}, "time": {"done": 2}}
    assert [row.stage for row in report.rows] == ["prepare"] * 2 + ["cell"] * 4 + ["time"] * 2
    next(finished.results.glob("times/**/*.json")).unlink()
    report = report_on(finished.experiment, tmp_path / "logs")
    assert not report.is_done
    assert in_words(report.counts()["time"]) == "1 of 2 done, 1 missing"
    assert [row.stage for row in report.only([State.missing])] == ["prepare", "prepare", "time"]
