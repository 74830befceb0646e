"""Files of groups: whole or not at all, and read back as they were written."""

from pathlib import Path

import pytest

from branchwise.data.prepare import read_groups, write_groups
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.errors import UserError


def test_groups_survive_the_round_trip(tmp_path: Path) -> None:
    groups = list(make_groups(WorldsSpec(kinds=("two_hop", "choice"), num_groups=4)))
    assert write_groups(tmp_path / "g.jsonl", groups) == 4
    assert read_groups(tmp_path / "g.jsonl") == groups


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    def failing():
        yield from make_groups(WorldsSpec(kinds=("look_up",), num_groups=2))
        raise UserError("a bad row", "mend it")

    with pytest.raises(UserError, match="a bad row"):
        write_groups(tmp_path / "g.jsonl", failing())
    with pytest.raises(UserError, match="no group"):
        write_groups(tmp_path / "g.jsonl", [])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    import os
    from unittest import mock

    def on_full_disk(handle: int, *args: object, **kwargs: object):
        os.close(handle)
        return full.open("w")

    groups = make_groups(WorldsSpec(kinds=("look_up",), num_groups=2))
    with (
        mock.patch("branchwise.files.os.fdopen", on_full_disk),
        pytest.raises(UserError, match="No space left on device"),
    ):
        write_groups(tmp_path / "g.jsonl", groups)
    assert list(tmp_path.iterdir()) == []


def test_bad_files_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    with pytest.raises(UserError, match="does not exist"):
        read_groups(path)
    write_groups(path, make_groups(WorldsSpec(kinds=("look_up",), num_groups=2)))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1], lines[2][:40]]))
    with pytest.raises(UserError, match="line 3"):
        read_groups(path)
    path.write_text('{"schema": "branchwise.groups", "version": 99}\n')
    with pytest.raises(UserError, match="this version reads"):
        read_groups(path)
