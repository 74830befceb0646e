"""Files of groups: whole or not at all, and read back as they were written."""

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


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    import os
    from unittest import mock

    def on_full_disk(handle: int, *args: object, **kwargs: object):
        os.close(handle)
        return full.open("w")

    with (
        mock.patch("branchwise.files.os.fdopen", on_full_disk),
        pytest.raises(UserError, match="No space left on device"),
    ):
        prepare_groups(worlds("look_up"), tmp_path / "g.jsonl", pytest.fail)
    assert list(tmp_path.iterdir()) == []


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
