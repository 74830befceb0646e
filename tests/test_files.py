"""Files are written whole or not at all, and only where a file can be."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from branchwise.errors import UserError
from branchwise.files import append_journal, cache_folder, read_journal, write_text


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    """As root, `--out /dev/full` became an ordinary file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="is no ordinary file"):
        write_text(pipe, "x")
    assert pipe.is_fifo()
    with pytest.raises(UserError, match="is no ordinary file"):
        write_text(tmp_path, "x")
    write_text(tmp_path / "deep/file", "x")
    write_text(tmp_path / "deep/file", "y")
    assert (tmp_path / "deep/file").read_text() == "y"


def test_records_that_threads_append_at_once_are_all_there_each_on_its_line(tmp_path: Path) -> None:
    """Between one's looking at the end and writing there, others wrote: lines came apart."""
    path = tmp_path / "journal.jsonl"
    record = "long " * 4000  # more than one write
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: append_journal(path, (str(number), record)), range(300)))
    entries, num_broken = read_journal(path)
    assert num_broken == 0
    assert entries == {str(number): record for number in range(300)}
    assert len(path.read_text().splitlines()) == 300


def test_a_cache_in_nobodys_home_is_a_folder_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANCHWISE_CACHE", "~nobody_here/x")
    assert cache_folder() == Path("~nobody_here/x")
