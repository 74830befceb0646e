"""What leaves the repository: a wheel that works from any folder, and a source archive that builds it."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import branchwise
from branchwise.config.imports import LIBRARY

pytest.importorskip("hatchling")

STORY = "Mara lives in Ashton. The boss of Sarel is Mara."
OWN_STRATEGY = """
from branchwise.prompts import single
from branchwise.strategies.base import answered


async def first(group, desk):
    for question in group:
        reply = await desk.ask(single(group, question, desk.style), [question])
        yield answered(question, reply, desk.style)
"""


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive of this tree."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "hatchling", "build", "-d", str(out), cwd=root)
    return out


@pytest.fixture(scope="module")
def empty(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel, in `bin`. Of the environment of the tests it has the packages
    and not the editable library: a line of a path file is no place whose own path files are read.
    """
    place = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", str(place), cwd=place)
    (own,) = place.glob("lib/python3*/site-packages")
    (own / "packages.pth").write_text(sysconfig.get_path("purelib"))
    wheel = next(built.glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "--python", str(place / "bin/python"))
    _run(*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel), cwd=place)
    return place


def _run(*words: str, cwd: Path, **variables: str) -> str:
    """What a command prints; it must end well. Nothing leads it to the repository."""
    done = _ended(*words, cwd=cwd, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _ended(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(words, cwd=cwd, env=environment | variables, capture_output=True, text=True)


def _names(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def test_a_wheel_holds_all_that_the_library_reads(root: Path, built: Path) -> None:
    files = [file for file in LIBRARY.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    expected = {f"branchwise/{file.relative_to(LIBRARY).as_posix()}" for file in files}
    project = tomllib.loads((root / "pyproject.toml").read_text())
    library, *places = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert root / library == LIBRARY
    for place in places:
        found = [file for file in (root / place).rglob("*") if file.is_file()]
        assert found, place
        expected |= {f"branchwise/shipped/{file.relative_to(root).as_posix()}" for file in found}
    (wheel,) = built.glob("*.whl")
    assert _names(wheel) == expected


def test_what_the_library_asks_for_is_in_the_wheel(built: Path) -> None:
    """By the calls of `shipped`; of a name that is put together, what it begins with."""
    text = "".join(file.read_text() for file in LIBRARY.rglob("*.py"))
    asked = re.findall(r'\bshipped\(f?"([^"{]+)', text)
    assert {"config/demo.yaml", "config/tiny_model.yaml", "resources/published/"} <= set(asked)
    names = _names(next(built.glob("*.whl")))
    for start in asked:
        assert any(name.startswith(f"branchwise/shipped/{start}") for name in names), start


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=source)
    assert _names(next(tmp_path.glob("*.whl"))) == _names(next(built.glob("*.whl")))


def test_the_version_is_said_once(root: Path, built: Path) -> None:
    """Of the two places that repeat it one reads it, and the other is held to it here."""
    (wheel,) = built.glob("*.whl")
    assert wheel.name.startswith(f"branchwise-{branchwise.__version__}-")
    assert yaml.safe_load((root / "CITATION.cff").read_text())["version"] == branchwise.__version__


@pytest.mark.slow
def test_an_installed_library_works_from_an_empty_folder(empty: Path, tmp_path: Path) -> None:
    def said(*words: str) -> str:
        return _run(str(empty / "bin/branchwise"), *words, cwd=tmp_path)

    assert said("--version") == f"branchwise {branchwise.__version__}\n"
    assert "Ask a model several questions" in said("--help")
    assert "\tbatch\tEvery question on its own" in said("list", "strategies")
    assert f"folder {empty}" in said("doctor")
    asked = ("-q", "Where does Mara live?", "-q", "Where does the boss of Sarel live?")
    answers = said("ask", "--strategy", "sequential", "--context", STORY, *asked)
    assert [line.split("\t")[2] for line in answers.splitlines()] == ["Ashton", "Ashton"]
    group = said("ask", "--dataset", "worlds_two_hop_g2", "--strategy", "collab_gold")
    assert len(group.splitlines()) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_an_installed_library_reads_ones_own_files(empty: Path, tmp_path: Path) -> None:
    """A strategy of one's own, beside the config that names it, and data beside that."""
    (tmp_path / "own.py").write_text(OWN_STRATEGY)
    question = {"id": "q", "text": "Where does Mara live?", "golds": ["Ashton"]}
    (tmp_path / "own.jsonl").write_text(
        json.dumps({"id": "g", "context": STORY, "questions": [question]})
    )
    entries = {
        "datasets": {"own_data": {"source": "jsonl", "path": "own.jsonl"}},
        "strategies": {"mine": {"module": "own.py:first"}},
    }
    axes = {"datasets": ["own_data"], "models": ["tiny"], "strategies": ["mine"], "decoders": ["tree"]}
    config = {"experiment": "own", **axes, "baseline": "mine", "define": entries}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    words = ("ask", "--config", str(tmp_path / "own.yaml"), "--dataset", "own_data", "--strategy", "mine")
    assert _run(str(empty / "bin/branchwise"), *words, cwd=elsewhere).split("\t")[2] == "Ashton"


@pytest.mark.slow
def test_an_installed_library_decodes_with_its_own_kernels(empty: Path, tmp_path: Path) -> None:
    code = """
import branchwise
from branchwise import TreeDecoder
from branchwise.config.load import load_catalogues
from branchwise.decoding.models.loading import load_model
from branchwise.decoding.native.library import library
loaded = load_model(load_catalogues().models["tiny"])
print(branchwise.__file__, len(TreeDecoder(loaded.model, loaded.chat.tokenizer).complete(["Mara"], 4)))
print(library())
"""
    cache = {"BRANCHWISE_CACHE": str(tmp_path / "cache")}
    where, kernels = _run(str(empty / "bin/python"), "-c", code, cwd=tmp_path, **cache).splitlines()
    assert where.startswith(str(empty))
    assert where.endswith(" 1")
    if "No such file" not in kernels:  # a machine without a compiler
        assert kernels.startswith("<CDLL"), kernels
        assert list((tmp_path / "cache/kernels").glob("*.so"))


@pytest.mark.slow
def test_an_installed_library_asks_for_the_same_cells(root: Path, empty: Path, tmp_path: Path) -> None:
    """Results of the repository are those of the wheel: no identity holds a place."""
    words = ("cells", "--folders")
    here = _run(sys.executable, "-m", "branchwise", *words, cwd=root, PYTHONPATH=str(root / "lib"))
    there = _run(str(empty / "bin/branchwise"), *words, cwd=tmp_path)
    assert len(here.splitlines()) > 20
    assert there == here


@pytest.mark.slow
def test_an_installed_library_does_not_write_into_itself(empty: Path, tmp_path: Path) -> None:
    code = """
from branchwise.config.shipped import ROOT, kept, shipped
print(kept("resources/studies/coverage.csv"), shipped("config/demo.yaml").is_file(), ROOT)
"""
    words = _run(str(empty / "bin/python"), "-c", code, cwd=tmp_path).split()
    assert words[:2] == ["coverage.csv", "True"]
    assert words[2].startswith(str(empty))
    done = _ended(str(empty / "bin/branchwise"), "document", cwd=tmp_path)
    assert done.returncode == 2
    assert "name the repository with --root" in done.stderr
