"""The small experiment, as a fixture."""

import tempfile
from pathlib import Path

import pytest

from tests.commands.small import Small


@pytest.fixture
def small(
    root: Path, tmp_path: Path, random_model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Small:
    """An experiment of its own folder; its timing jobs wait for none of another test."""
    monkeypatch.chdir(root)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Small(tmp_path, random_model_folder)
