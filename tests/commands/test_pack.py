"""`branchwise pack` and `unpack` as their users call them, and figures from a pack."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from branchwise.config.trainings import training_folder
from branchwise.results import write_json
from tests.commands.small import branchwise, told, without_torch
from tests.finished import TAUGHT, Finished, checkpoint, edit_json


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return Finished(tmp_path)


def pack(finished: Finished, *words: object, name: str = "r.tar.gz") -> Result:
    return branchwise("pack", "--config", finished.config, "--out", finished.folder / name, *words)


def manifest(finished: Finished) -> dict[str, Any]:
    with tarfile.open(finished.folder / "r.tar.gz") as tar:
        file = tar.extractfile("manifest.json")
        assert file is not None
        return json.load(file)


def names(finished: Finished) -> set[str]:
    with tarfile.open(finished.folder / "r.tar.gz") as tar:
        return set(tar.getnames())


def test_a_pack_says_what_it_holds(finished: Finished) -> None:
    done = pack(finished)
    assert done.exit_code == 0, done.output
    assert "6 of 6 results packed in" in done.stderr
    found = manifest(finished)
    assert found["experiment"] == "trial" and found["packed"] == "2023-11-14"
    assert found["absent"] == []
    assert {"branchwise", "commit", "dirty", "schemas"} <= set(found)
    cells = {one["name"]: one for one in found["results"] if one["stage"] == "cell"}
    assert set(cells) == {str(cell) for cell in finished.experiment.cells}
    run = json.loads(finished.run(finished.cell()).read_text())
    one = cells["one/tiny/batch/tree"]
    assert one["code"]["answers"] == run["identity"]["code"]
    assert one["settings"] == finished.run(finished.cell()).parent.name
    assert one["stale"] == ""
    assert names(finished) == {"manifest.json", *found["files"]}
    assert not any(name.endswith(".jsonl") for name in found["files"])


def test_twice_gives_the_same_bytes_and_answers_are_another_pack(finished: Finished) -> None:
    for name in ("r.tar.gz", "s.tgz"):
        assert pack(finished, name=name).exit_code == 0
    first = (finished.folder / "r.tar.gz").read_bytes()
    assert (finished.folder / "s.tgz").read_bytes() == first
    assert pack(finished, "--answers").exit_code == 0
    with_answers = names(finished)
    assert sum(name.endswith("/answers.jsonl") for name in with_answers) == 4
    assert sum(name.endswith("/trace.jsonl") for name in with_answers) == 4


def test_what_is_missing_or_stale_is_named_and_only_packed_round_if_allowed(finished: Finished) -> None:
    finished.scores(finished.cell()).unlink()
    edit_json(finished.scores(finished.cell("two")), "scoring", "code", value="0" * 12)
    next(finished.results.glob("times/one/**/*.json")).write_text("{")
    done = pack(finished)
    assert done.exit_code == 2
    assert not (finished.folder / "r.tar.gz").exists()
    lines = done.stderr.splitlines()
    assert lines[0] == "partly: cell one/tiny/batch/tree: answered, not scored"
    assert lines[1].startswith("stale: time one/tiny/tree: ") and "it is cut off" in lines[1]
    assert lines[2] == "stale: cell two/tiny/batch/tree: other code of scores"
    assert lines[3].startswith("error: 2 of 6 results are missing or of no use, 1 of other code than")
    assert len(lines) == 4
    assert pack(finished, "--allow-missing").exit_code == 0
    found = manifest(finished)
    assert [one["name"] for one in found["absent"]] == ["one/tiny/batch/tree", "one/tiny/tree"]
    assert [one["stale"] for one in found["results"] if one["stale"]] == ["other code of scores"]
    assert len(found["results"]) == 4
    into = finished.folder / "new"
    done = branchwise("unpack", finished.folder / "r.tar.gz", "--into", into)
    assert done.exit_code == 0, done.output
    assert "not in the pack: cell one/tiny/batch/tree (partly)" in done.stderr


def test_trainings_travel_with_their_curves_and_without_weights(tmp_path: Path) -> None:
    finished = Finished(tmp_path, **TAUGHT)
    done = pack(finished)
    assert (
        "missing: train short/tiny: training short of tiny has no checkpoint with a curve" in done.stderr
    )
    folder = finished.results / "training" / training_folder(finished.experiment, "short", "tiny")
    write_json(folder / "checkpoint.json", checkpoint(folder.name))
    (folder / "curve.csv").write_text("step,loss\n1,2.0\n")
    (folder / "weights.safetensors").write_bytes(b"large")
    assert pack(finished).exit_code == 0
    (one,) = (one for one in manifest(finished)["results"] if one["stage"] == "train")
    place = f"training/short/tiny/{folder.name}"
    assert one["files"] == [f"{place}/checkpoint.json", f"{place}/curve.csv"]
    assert one["settings"] == folder.name
    into = tmp_path / "new"
    assert branchwise("unpack", tmp_path / "r.tar.gz", "--into", into).exit_code == 0
    assert sorted(path.name for path in (into / place).iterdir()) == ["checkpoint.json", "curve.csv"]


def test_a_strategy_of_ones_own_is_not_packed_and_named(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "async def strategy(group, desk):\n    if False:\n        yield\n", encoding="utf-8"
    )
    own = {**TAUGHT["define"], "strategies": {"mine": {"module": "mine.py", "needs": ["ask"]}}}
    finished = Finished(tmp_path, **{**TAUGHT, "strategies": ["batch", "mine"], "define": own})
    done = pack(finished)
    assert done.exit_code == 0, done.output
    assert "note: strategy mine is of mine.py, which a pack does not carry" in done.stderr
    assert not any(name.endswith(".py") for name in names(finished))


def test_scores_of_other_answers_are_not_packed(finished: Finished) -> None:
    edit_json(finished.run(finished.cell()), "identity", "code", value="0" * 12)
    done = pack(finished)
    assert done.exit_code == 2
    assert "scores other answers than those of" in done.stderr


def test_figures_are_drawn_from_a_pack_without_torch_or_the_first_results(finished: Finished) -> None:
    assert pack(finished).exit_code == 0
    finished.results.rename(finished.folder / "away")
    into = finished.folder / "new"
    without_torch("unpack", finished.folder / "r.tar.gz", "--into", into)
    config = into / "packs/trial/config.yaml"
    assert str(finished.results) not in config.read_text(), "where results lay is of no use elsewhere"
    shared = ("--config", config, "--set", "cached=true", "--cells", into / "cells")
    without_torch("tabulate", *shared, "--out", into / "tables")
    assert "one" in (into / "tables/accuracy.md").read_text()
    assert "as it is here" in (into / "tables/accuracy.md").read_text()


def test_unpacking_over_other_results_is_status_1(finished: Finished) -> None:
    assert pack(finished).exit_code == 0
    edit_json(finished.scores(finished.cell()), "identity", "code", value="0" * 12)
    done = branchwise("unpack", finished.folder / "r.tar.gz", "--into", finished.results)
    assert done.exit_code == 1
    assert "left alone: cell one/tiny/batch/tree: " in done.stderr
    assert "0 results of trial put in" in done.stderr and "1 left alone" in done.stderr


def test_mistakes(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not end in .tar.gz" in told(pack(finished, name="results.zip"))
    gone = branchwise("unpack", finished.folder / "none.tar.gz", "--into", finished.folder / "new")
    assert "does not exist; give the file that `branchwise pack` wrote" in told(gone)
    assert pack(finished).exit_code == 0
    small = branchwise(
        "unpack", finished.folder / "r.tar.gz", "--into", finished.folder / "new", "--max-gib", "0.00001"
    )
    assert "allow it with --max-gib" in told(small)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    assert "SOURCE_DATE_EPOCH is soon, no number of seconds" in told(pack(finished))
    (finished.results / "cells").rename(finished.folder / "away")
    (finished.results / "times").rename(finished.folder / "away times")
    done = pack(finished, "--allow-missing")
    assert "there is nothing to pack" in done.stderr
