"""Where a result says that it comes from."""

import shutil
import subprocess
from pathlib import Path

import pytest

from branchwise.cells import provenance


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", "-C", folder, *who, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_that_of_the_code_and_not_of_whoever_installed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text(".venv\n")
    home = tmp_path / "lib/provenance.py"
    installed = tmp_path / ".venv/site-packages/provenance.py"
    for copy in (home, installed):
        copy.parent.mkdir(parents=True)
        shutil.copy(provenance.__file__, copy)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "a")
    monkeypatch.setattr(provenance, "__file__", str(home))
    assert provenance.commit() == (git(tmp_path, "rev-parse", "HEAD"), False)
    home.write_text("changed")
    assert provenance.commit()[1] is True
    monkeypatch.setattr(provenance, "__file__", str(installed))
    assert provenance.commit() == (None, None)
