"""What was cut off after it had been made is found and set aside; what is whole is left alone."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.finished import TAUGHT, Finished, checkpoint

from branchwise.config.identity import groups_name
from branchwise.config.trainings import training_folder
from branchwise.data.prepare import prepare_groups
from branchwise.decoding.trained.folder import CheckpointRecord
from branchwise.files import file_hash
from branchwise.results import write_json
from branchwise.status.damage import Damage, damaged, set_aside


def whole(folder: Path, **changes) -> Finished:
    """A finished experiment with its data."""
    made = Finished(folder, **changes)
    for name in made.experiment.datasets:
        entry = made.experiment.catalogues.datasets[name]
        path = made.results / "groups" / name / f"{groups_name(made.experiment, name)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        prepare_groups(entry, path, pytest.fail)
    return made


def written_later(path: Path) -> None:
    """Damage is younger than what was made of the file."""
    later = path.stat().st_mtime + 10
    os.utime(path, (later, later))


@settings(max_examples=40)
@given(data=st.data())
def test_any_file_that_is_cut_off_is_found(tmp_path_factory, data: st.DataObject) -> None:
    made = whole(tmp_path_factory.mktemp("cut"))
    assert list(damaged(made.experiment)) == []
    files = sorted(path for path in made.results.rglob("*.json*") if path.is_file())
    path = data.draw(st.sampled_from(files))
    left = data.draw(st.integers(0, path.stat().st_size - 1))
    cut = path.read_bytes()[left:]
    os.truncate(path, left)
    written_later(path)
    found = set_aside(made.experiment)
    assert [one.path for one in found] == [path]
    assert not path.exists()
    aside = path.with_name(f"{path.name}.damaged")
    assert aside.stat().st_size == left
    # Until it has been made anew.
    for _ in range(2):
        assert set_aside(made.experiment) == [Damage(path, "found by an earlier run")]
    path.write_bytes(aside.read_bytes() + cut)
    assert list(damaged(made.experiment)) == []


def test_what_was_scored_is_not_read_again(tmp_path: Path) -> None:
    """Ten thousand finished cells cost nothing: rows are counted where nothing has read them yet."""
    made = whole(tmp_path)
    cell = made.cell()
    answers = made.run(cell).with_name("answers.jsonl")
    lines = answers.read_bytes().splitlines(keepends=True)
    answers.write_bytes(b"".join(lines[:-1]))
    os.utime(answers, (1, 1))
    assert list(damaged(made.experiment)) == []
    written_later(made.run(cell))
    made.scores(cell).unlink()
    ((path, reason, _),) = damaged(made.experiment)
    assert (path, reason) == (answers, f"it has {len(lines) - 2} of {len(lines) - 1} rows")


@settings(max_examples=10)
@given(data=st.data())
def test_a_file_that_was_cut_off_before_its_cell_was_scored(
    tmp_path_factory, data: st.DataObject
) -> None:
    """Scoring had read it before, or reads no trace: nothing else would notice. Nor where rows are
    missing whole.
    """
    made = whole(tmp_path_factory.mktemp("cut"))
    run = made.run(made.cell())
    path = data.draw(st.sampled_from([run, *(run.with_name(f"{n}.jsonl") for n in ("answers", "trace"))]))
    lines = path.read_bytes().splitlines(keepends=True)
    whole_lines = b"".join(lines[: data.draw(st.integers(0, len(lines) - 1))])
    path.write_bytes(whole_lines + lines[-1][: data.draw(st.integers(0, len(lines[-1]) - 1))])
    written_later(path)
    scores, later = made.scores(made.cell()), path.stat().st_mtime + 10
    os.utime(scores, (later, later))
    assert [one.path for one in damaged(made.experiment)] == [path]


def test_verdicts_that_were_cut_off(tmp_path: Path) -> None:
    judge = {"model": "judge", "base_url": "http://localhost:1/v1"}
    made = whole(tmp_path, judged=["one"], judge=judge)
    verdicts = made.scores(made.cell()).with_name("judged.json")
    verdicts.write_text('{"schema')
    assert [one.path for one in damaged(made.experiment)] == [verdicts]


def test_a_checkpoint_whose_weights_are_others(tmp_path: Path) -> None:
    made = whole(tmp_path, **TAUGHT)
    folder = Path(made.experiment.trainings_folder)
    folder /= training_folder(made.experiment, "short", "tiny")
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / "head.safetensors"
    weights.write_bytes(b"weights")
    record: CheckpointRecord = checkpoint("x")
    write_json(
        folder / "checkpoint.json",
        record.model_copy(update={"files": {weights.name: file_hash(weights)}}),
    )
    assert list(damaged(made.experiment)) == []
    weights.write_bytes(b"weighty")
    (damage,) = set_aside(made.experiment)
    assert damage.path == folder / "checkpoint.json" and not damage.is_shown
    assert [one.path for one in set_aside(made.experiment)] == [damage.path]
    shutil.copy(folder / "checkpoint.json.damaged", folder / "checkpoint.json")
    weights.write_bytes(b"weights")
    assert "head.safetensors of the checkpoint is cut off or changed" in damage.reason
    # Of what is whole, how it was trained may be cut off.
    curve = folder / "curve.csv"
    curve.write_text("step,loss\n1,0.")
    assert [one.path for one in damaged(made.experiment)] == [curve]


def test_figures_and_tables(tmp_path: Path) -> None:
    made = whole(tmp_path, figures=str(tmp_path / "figures"))
    for name, content in {"a.svg": "<svg></svg>\n", "b.svg": "<svg>", "c.pdf": "%%EOF\n"}.items():
        path = tmp_path / "figures/trial" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (table := made.results / "tables/trial/accuracy.csv").parent.mkdir(parents=True)
    table.write_text("a,b\n1,")
    found = set_aside(made.experiment)
    assert [(one.path.name, one.is_shown) for one in found] == [("accuracy.csv", True), ("b.svg", True)]
    assert list(damaged(made.experiment)) == []
