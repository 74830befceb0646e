"""Figures from a pack in a fresh copy of the project, by the very line that `unpack` prints."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow.project import copy_project, environment, snakemake

pytestmark = pytest.mark.slow


def branchwise(project: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "branchwise", *map(str, words)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, env=environment(project))


def test_figures_of_a_pack_in_a_fresh_copy(finished: Path, root: Path, tmp_path: Path) -> None:
    """Neither the data nor the results of the first are there."""
    pack, clone = tmp_path / "r.tar.gz", tmp_path / "clone"
    done = branchwise(finished, "pack", "--config", "config/trial.yaml", "--out", pack)
    assert done.returncode == 0, done.stderr
    assert "9 of 9 results packed" in done.stderr
    clone.mkdir()
    copy_project(root, clone)
    done = branchwise(clone, "unpack", pack, "--into", "unpacked")
    assert done.returncode == 0, done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("draw them: snakemake "))
    words = shlex.split(line.removeprefix("draw them: snakemake "))
    done = snakemake(clone, *words, config=None)
    assert done.returncode == 0, done.stderr
    assert list((clone / "unpacked/figures/trial").glob("*.svg"))
    table = (clone / "unpacked/drawn/tables/trial/accuracy.md").read_text()
    assert "Cached results: settings" in table and "as it is here" in table
    assert not (clone / "results").exists()
