"""The recipe of the container: what it runs as, and what is left out of it."""

import re

import yaml

from tests.conftest import ROOT

RECIPE = (ROOT / "envs/Containerfile").read_text(encoding="utf-8")
STEPS = re.findall(r"^([A-Z]+) ((?:[^\\\n]|\\\n|\\)*)$", RECIPE, re.M)


def test_it_runs_as_a_user_who_writes_to_one_folder() -> None:
    names = [name for name, _ in STEPS]
    said = dict(STEPS)
    assert names.index("USER") > max(n for n, name in enumerate(names) if name in ("RUN", "COPY"))
    assert (
        said["USER"] not in ("root", "0") and f"useradd --uid 1000 --create-home {said['USER']}" in RECIPE
    )
    assert said["VOLUME"] == said["WORKDIR"] == "/out"
    environment = dict(word.split("=") for word in said["ENV"].replace("\\\n", " ").split())
    assert environment["PYTHONDONTWRITEBYTECODE"] == "1"
    places = [value for name, value in environment.items() if name != "PYTHONDONTWRITEBYTECODE"]
    assert places and all(place.startswith(("/tmp", "/out")) for place in places)
    assert '"/branchwise/Snakefile"' in said["CMD"]
    assert "ADD" not in names and "chmod 777" not in RECIPE
    assert "--read-only --tmpfs /tmp" in RECIPE


def test_what_is_private_or_large_is_left_out() -> None:
    left_out = set((ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines())
    assert {".venv*", ".env", "results", "figures", "logs", ".snakemake", "**/__pycache__"} <= left_out
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    missing = {line.rstrip("/") for line in ignored if "jsonl" not in line} - {
        name.removeprefix("**/") for name in left_out
    }
    assert not missing, "git ignores it, and the container would hold it"


def test_environment_and_lock_pin_the_same() -> None:
    stated = yaml.safe_load((ROOT / "envs/environment.yaml").read_text(encoding="utf-8"))["dependencies"]
    pinned = [line for line in stated[-1]["pip"] if "==" in line]
    lock = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    assert pinned == [line for line in lock if line and not line.startswith("#")]
    assert len(pinned) > 100
    version = re.search(r"python:(3\.\d+)", RECIPE)
    assert version is not None and f"python={version[1]}" in stated
