"""Published numbers: a table that an experiment asks for, made anew where their file changes."""

import shutil
from pathlib import Path

import pytest

from tests.workflow.project import copy_project, snakemake, trial, write_config

pytestmark = pytest.mark.slow
FILE = "resources/published/one_sequence.yaml"


@pytest.mark.parametrize("asked", [True, False])
def test_published_numbers_are_an_input_and_a_table(
    asked: bool, root: Path, tmp_path: Path, random_model_folder: Path
) -> None:
    copy_project(root, tmp_path)
    shutil.copytree((root / FILE).parent, (tmp_path / FILE).parent)
    changes = {"published": "one_sequence"} if asked else {}
    write_config(tmp_path, "trial.yaml", trial(random_model_folder, **changes))
    done = snakemake(tmp_path, "--filegraph")
    assert done.returncode == 0, done.stderr
    assert "results/tables/trial/accuracy.csv" in done.stdout
    assert ("results/tables/trial/published.csv" in done.stdout) == asked
    assert (FILE in done.stdout) == asked
