"""Commands that are made up: scripts in a folder that is all of PATH."""

from collections.abc import Callable
from pathlib import Path

import pytest

Fake = Callable[..., None]


def faker(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A function (name, script) that puts a command on an otherwise empty PATH."""
    place = folder / "bin"
    place.mkdir()
    monkeypatch.setenv("PATH", str(place))

    def fake(name: str, script: str = "exit 0") -> None:
        path = place / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return fake
