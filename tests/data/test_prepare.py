"""Files of groups: whole or not at all, and read back as they were written."""

import os
from pathlib import Path

import pytest

from branchwise.data.groups_file import read_groups, read_preparation
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.sources.jsonl import JsonlDataset
from branchwise.data.worlds.dataset import WorldsDataset
from branchwise.errors import UserError


def worlds(*kinds: str, num_groups: int = 2) -> WorldsDataset:
    return WorldsDataset(source="worlds", kinds=kinds, num_groups=num_groups)


def test_groups_survive_the_round_trip(tmp_path: Path) -> None:
    entry = worlds("two_hop", "choice", num_groups=4)
    made = prepare_groups(entry, tmp_path / "g.jsonl", pytest.fail)
    assert (made.num_groups, made.num_questions) == (4, 24)
    assert read_groups(tmp_path / "g.jsonl") == list(groups_of(entry, pytest.fail))
    assert read_preparation(tmp_path / "g.jsonl") == made


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "g", "questions": []}\n')
    entry = JsonlDataset(source="jsonl", path=str(rows), on_bad_row="fail")
    with pytest.raises(UserError, match="bad row line 1"):
        prepare_groups(entry, tmp_path / "out" / "g.jsonl", pytest.fail)
    skipping = entry.model_copy(update={"on_bad_row": "skip"})
    with pytest.raises(UserError, match="no group.*all 1 rows are bad"):
        prepare_groups(skipping, tmp_path / "out" / "g.jsonl", lambda warning: None)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.fixture
def full() -> Path:
    """A file on a disk that is always full."""
    path = Path("/dev/full")
    if not path.exists():
        pytest.skip("this system has no /dev/full")
    return path


def test_a_full_disk_is_a_clear_error(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_full_disk(dir: Path, prefix: str) -> tuple[int, str]:
        link = dir / f"{prefix}new"
        link.symlink_to(full)
        return os.open(link, os.O_RDONLY), str(link)

    monkeypatch.setattr("branchwise.files.tempfile.mkstemp", on_full_disk)
    with pytest.raises(UserError, match=r"g.jsonl could not be written: No space left on device"):
        prepare_groups(worlds("look_up"), tmp_path / "g.jsonl", pytest.fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [True, False])
def test_a_disk_that_is_full_of_temporary_files_names_their_folder(
    made: bool, full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of groups, and of the rows of a file; closing the file fails once more, which hides nothing."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"id": "g", "questions": [{"id": "q", "text": "Who?", "golds": ["x"]}]}\n')
    entry = worlds("look_up") if made else JsonlDataset(source="jsonl", path=str(rows))
    monkeypatch.setattr("branchwise.data.spool.tempfile.TemporaryFile", lambda dir: full.open("w+b"))
    with pytest.raises(UserError, match="No space left on device") as raised:
        prepare_groups(entry, tmp_path / "out" / "g.jsonl", pytest.fail)
    assert f"in {tmp_path / 'out'}:" in str(raised.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"in {tmp_path}/file/out: Not a directory"):
        prepare_groups(worlds("look_up"), tmp_path / "file/out/g.jsonl", pytest.fail)


def test_bad_files_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    with pytest.raises(UserError, match="does not exist"):
        read_groups(path)
    prepare_groups(worlds("look_up"), path, pytest.fail)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[2][:40]]))
    with pytest.raises(UserError, match="line 3"):
        read_groups(path)
    path.write_text('{"schema": "branchwise.groups", "version": 99}\n')
    with pytest.raises(UserError, match="this version reads"):
        read_groups(path)
