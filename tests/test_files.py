"""Files are written whole or not at all, and only where a file can be."""

import os
from pathlib import Path

import pytest

from branchwise.errors import UserError
from branchwise.files import write_text


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
