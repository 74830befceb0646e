"""`branchwise document`: the files that it writes are those that are committed."""

import shutil
from pathlib import Path

from branchwise.config.compatibility import BEGIN, END
from tests.commands.small import branchwise


def test_committed_files_are_what_it_writes(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "config", tmp_path / "config")
    names = ("config/README.md", "config/schema.json", "config/own-data.schema.json", "README.md")
    for name in names:
        (tmp_path / name).write_text("old")
    # Of this one a table between two marks is written, and nothing else.
    readme = (root / "README.md").read_text()
    before, begin, rest = readme.partition(BEGIN)
    (tmp_path / "README.md").write_text(f"{before}{begin}old{END}{rest.partition(END)[2]}")
    done = branchwise("document", "--root", tmp_path)
    assert done.exit_code == 0, done.output
    assert set(done.stdout.splitlines()) == {str(tmp_path / name) for name in names}
    for name in names:
        written = (tmp_path / name).read_text()
        assert written == (root / name).read_text(), f"run `branchwise document`: {name}"
