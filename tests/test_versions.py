"""What pyproject.toml says of versions: every package that is used is named, with its oldest release."""

import ast
import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

_SPEC = importlib.util.spec_from_file_location("oldest", ROOT / "envs/oldest.py")
assert _SPEC is not None and _SPEC.loader is not None
oldest = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(oldest)

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [Requirement(one) for extra in PROJECT["optional-dependencies"].values() for one in extra]
NEEDED = [Requirement(one) for one in PROJECT["dependencies"]]
LATER = {"vllm", "openvino", "openvino_genai", "ctranslate2", "llama_cpp", "xllamacpp", "spacy"}
"""Imported where an extra is installed, which need not be here."""
PARTS = {"pydantic_core": "pydantic", "pyarrow": "datasets", "mpl_toolkits": "matplotlib"}
"""Packages that are a part of another one, which pins them."""


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported() -> dict[str, Path]:
    """Packages that the library imports, and a file that does."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "lib/branchwise").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {name.partition(".")[0]: path for name in names}
    return {
        name: path
        for name, path in found.items()
        if name not in (*sys.stdlib_module_names, "branchwise", "")
    }


def test_what_is_imported_is_named() -> None:
    """What another package brings today may be gone from its next release, as httpx from openai's."""
    named = {plain(one.name) for one in (*NEEDED, *EXTRAS)}
    from_ = packages_distributions()
    for module, path in imported().items():
        if module in LATER:
            continue
        distributions = {plain(name) for name in from_.get(module, [module])} | {PARTS.get(module, "")}
        assert distributions & named, f"{path.name} imports {module}"
    assert len(imported()) > 20


def test_every_dependency_says_its_oldest_release() -> None:
    found = oldest.oldest()
    assert [plain(name) for name in found] == [plain(one.name) for one in NEEDED]


def test_a_dependency_without_one_is_refused(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\ndependencies = ["torch>=2.11", "numpy"]\n', encoding="utf-8")
    with pytest.raises(ValueError, match="numpy has no lower bound"):
        oldest.oldest(project)


def test_the_lock_is_within_what_is_allowed() -> None:
    lock = (ROOT / "envs/requirements.lock").read_text(encoding="utf-8").splitlines()
    pinned = {plain(line.partition("==")[0]): line.partition("==")[2] for line in lock if "==" in line}
    for one in NEEDED:
        assert one.specifier.contains(pinned[plain(one.name)]), (
            f"{one} is locked to {pinned[plain(one.name)]}"
        )
