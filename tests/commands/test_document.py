"""`branchwise document`: the files that it writes are those that are committed."""

import shutil
from pathlib import Path

from tests.commands.small import branchwise


def test_committed_files_are_what_it_writes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "config", tmp_path / "config")
    names = ("README.md", "schema.json", "own-data.schema.json")
    for name in names:
        (tmp_path / "config" / name).write_text("old")
    done = branchwise("document", "--root", tmp_path)
    assert done.exit_code == 0, done.output
    assert set(done.stdout.splitlines()) == {str(tmp_path / "config" / name) for name in names}
    for name in names:
        written = (tmp_path / "config" / name).read_text()
        assert written == (root / "config" / name).read_text(), f"run `branchwise document`: {name}"
