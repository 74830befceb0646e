"""Copies of the project that several files of workflow tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow import project as projects
from tests.workflow.project import DRAWN, copy_project, planned, snakemake, trial, write_config


@pytest.fixture(scope="session", autouse=True)
def warmth(warm_programs: Path) -> Iterator[None]:
    """Most time of these tests would be Python starting."""
    projects.warm = warm_programs
    yield
    projects.warm = None


@pytest.fixture
def project(root: Path, tmp_path: Path, random_model_folder: Path) -> Path:
    """A fresh copy; the experiment has five cells."""
    copy_project(root, tmp_path)
    write_config(tmp_path, "trial.yaml", trial(random_model_folder))
    return tmp_path


@pytest.fixture(scope="session")
def finished(root: Path, tmp_path_factory: pytest.TempPathFactory, random_model_folder: Path) -> Path:
    """A copy in which the experiment has run; whoever changes it puts it back."""
    folder = tmp_path_factory.mktemp("finished")
    copy_project(root, folder)
    write_config(folder, "trial.yaml", trial(random_model_folder))
    assert planned(folder) == {**DRAWN, "prepare": 2, "generate": 5, "time": 4, "evaluate": 5}
    done = snakemake(folder)
    assert done.returncode == 0, done.stderr
    return folder
