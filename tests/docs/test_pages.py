"""Pages and the site made of them: links lead somewhere, commands run what there is."""

import os
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from branchwise.config import load_experiment
from branchwise.config.catalogues import Catalogues
from branchwise.strategies.loading import names
from tests.conftest import ROOT

PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CHANGELOG.md", "config/README.md")),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("resources/*/README.md"),
        *ROOT.glob("resources/models/*/README.md"),
    ]
)
SYSTEMS = sorted(set(ROOT.glob("docs/systems/*.md")) - {ROOT / "docs/systems/README.md"})
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMANDS = re.compile(r"^```bash\n(.*?)^```", re.S | re.M)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def catalogues() -> Catalogues:
    return load_experiment([ROOT / "config/demo.yaml"]).catalogues


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_files_of_the_repository(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("https://", "#")):
            continue
        target = (page.parent / link.partition("#")[0]).resolve()
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link


@pytest.mark.parametrize("page", SYSTEMS, ids=named)
def test_a_systems_page_says_what_runs_and_what_differs(page: Path) -> None:
    text = page.read_text()
    if page.stem == "hogwild":
        assert "It is not expressed here." in text
        return
    assert "## Run it here" in text
    assert "## What differs, and why" in text
    assert COMMANDS.search(text)


@pytest.mark.parametrize("page", SYSTEMS, ids=named)
def test_commands_name_what_there_is(page: Path, catalogues: Catalogues) -> None:
    lines = [line for block in COMMANDS.findall(page.read_text()) for line in block.splitlines()]
    for line in lines:
        words = shlex.split(line, comments=True)
        options = dict(pairwise(words))
        known = catalogues
        for option in ("--configfile", "--config"):
            if option in options:
                known = load_experiment([ROOT / options[option]]).catalogues
        for axis in ("strategies", "datasets", "decoders", "models", "trainings"):
            option = "--" + ("strategy" if axis == "strategies" else axis[:-1])
            if option in options:
                assert options[option] in getattr(known, axis), line


def test_every_system_is_on_the_overview_and_on_the_site(root: Path) -> None:
    overview = LINK.findall((root / "docs/systems/README.md").read_text())
    site = (root / "mkdocs.yml").read_text()
    assert len(SYSTEMS) >= 14
    for page in SYSTEMS:
        assert page.name in overview
        assert f": docs/systems/{page.name}\n" in site


def test_the_reference_has_every_strategys_module(root: Path) -> None:
    found = re.findall(r"^::: branchwise\.strategies\.(\w+)$", (root / "docs/api.md").read_text(), re.M)
    assert sorted(set(found) & set(names())) == names()


class Fetched(HTMLParser):
    """What a browser fetches with a page from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        place = found.get("src") or (found.get("href") if tag == "link" else None) or ""
        if place.startswith(("http:", "https:", "//")):
            self.elsewhere.append(place)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="mkdocs is not installed: `make docs` installs it"
)
def test_the_site_is_built_strictly_and_fetches_nothing(root: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=root, env=quiet, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in PAGES:
        path = tmp_path / page.relative_to(root)
        made = path.with_name("index.html") if page.name == "README.md" else path.with_suffix(".html")
        assert made.is_file(), page
    shown = (tmp_path / "docs/api.html").read_text()
    assert "computed once, sharing what it starts with inside its group" in shown
    assert "branch 0" in (tmp_path / "docs/notebooks/tree_decoder.html").read_text()
    for made in tmp_path.rglob("*.html"):
        fetched = Fetched()
        fetched.feed(made.read_text())
        assert fetched.elsewhere == [], made
    for style in tmp_path.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(https?:)?//", style.read_text()), style


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="mkdocs is not installed: `make docs` installs it"
)
@pytest.mark.parametrize(
    "link", ["config/README.md#no-such-heading", "no_such_page.md", "resources/none"]
)
def test_a_broken_link_ends_the_build(root: Path, tmp_path: Path, link: str) -> None:
    """Of a copy, so that the build is seen to notice."""
    for name in ("docs", "config", "mkdocs.yml"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / "docs").unlink()
    subprocess.run(["cp", "-r", str(root / "docs"), str(tmp_path / "docs")], check=True)
    for name in ("README.md", "CHANGELOG.md", "CITATION.cff", "lib", "resources"):
        (tmp_path / name).symlink_to(root / name)
    page = tmp_path / "docs/systems/ape.md"
    page.write_text(f"{page.read_text()}\nSee [there](../../{link}).\n")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=tmp_path, env=quiet, capture_output=True, text=True)
    assert done.returncode != 0
    assert link in done.stderr
