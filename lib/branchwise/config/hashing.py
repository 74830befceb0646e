"""Content hashes of the modules that a result depends on.

They go into the rules' params: editing a strategy re-runs exactly its cells, while a clone (new
times, same content) or a commit re-runs nothing.
"""

import hashlib
import os
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from branchwise.config.types import Cell, Experiment

_SMALL_BYTES = 16 * 2**20
MODEL_FILES = (
    "*.safetensors*",
    "*config.json",
    "tokenizer.*",
    "vocab.*",
    "merges.txt",
    "*tokens*.json",
    "*.jinja",
)
"""What of a model folder decides its tokens."""

_LIBRARY = Path(__file__).parents[1]
_IMPORT = re.compile(r"^from branchwise\.([\w.]+) import ", re.MULTILINE)
_ANSWERS = (
    "prompts/*.py",
    "strategies/base.py",
    "cells/desk.py",
    "cells/runner.py",
    "cells/loading.py",
    "data/types.py",
    "data/letters.py",
)
# The tree decoder is every module of `decoding` but the other decoders.
_TREE = ("decoding/*.py", "decoding/*/*.py", "!decoding/hf.py", "decoding/*/*.c")
_HF = ("decoding/loop.py", "decoding/models/chat.py", "decoding/hf.py")
_READ = tuple(f"data/{name}.py" for name in ("rows", "spool", "grouping", "similarity", "sources/base"))


@cache
def modules_hash(patterns: tuple[str, ...]) -> str:
    """Hash of the library files that match `patterns` (relative to the package), by name and text."""
    digest = hashlib.sha256()
    for path in _files(patterns):
        digest.update(f"{path.relative_to(_LIBRARY)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _files(patterns: Iterable[str]) -> list[Path]:
    """Files that match, in order; a pattern after "!" takes its matches out again."""
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(_LIBRARY.glob(pattern.removeprefix("!")))
        if not matches:
            raise FileNotFoundError(f"no module of branchwise matches {pattern}")
        if pattern.startswith("!"):
            found = [path for path in found if path not in matches]
        else:
            found += matches
    return found


@cache
def _with_imports(module: str, rooms: tuple[str, ...]) -> tuple[str, ...]:
    """A module and those of some rooms that it imports, directly or not."""
    found = [module]
    for name in found:
        text = (_LIBRARY / name).read_text(encoding="utf-8")
        imported = (dotted.replace(".", "/") + ".py" for dotted in _IMPORT.findall(text))
        found += [
            other
            for other in imported
            if other.split("/")[0] in rooms and other not in found and (_LIBRARY / other).is_file()
        ]
    return tuple(found)


def _decoder_modules(kind: str) -> tuple[str, ...]:
    """What a decoder's tokens depend on: all of the tree's rooms, or what another one imports."""
    if kind == "tree":
        return _TREE
    found = (module for first in _HF for module in _with_imports(first, ("decoding",)))
    return tuple(dict.fromkeys(found))


def dependency_identity(experiment: Experiment, name: str, model: str) -> dict[str, Any]:
    """Everything that found dependencies depend on: settings, code, and the model that is asked."""
    return {
        "entry": experiment.catalogues.dependencies[name].model_dump(mode="json", by_alias=True),
        "code": dependencies_hash(experiment, name),
        "model": model_hash(experiment, model),
    }


def content_hash(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def dependencies_hash(experiment: Experiment, name: str) -> str:
    """Code that a generator's edges depend on."""
    kind = experiment.catalogues.dependencies[name].kind
    modules = ["dependencies/*.py", "cells/depending.py", "data/types.py"]
    if kind == "llm":
        modules += ["prompts/*.py", *_decoder_modules("tree")]
    if kind == "attention":
        modules += ["encoders/loading.py"]
    return modules_hash(tuple(modules))


def answers_hash(experiment: Experiment, cell: Cell) -> str:
    """Code that a cell's answers depend on: its strategy, its decoder, prompts and runner."""
    strategy = experiment.catalogues.strategies[cell.strategy].module
    kind = experiment.catalogues.decoders[cell.decoder].kind
    modules = (*_ANSWERS, *_with_imports(f"strategies/{strategy}.py", ("strategies", "dependencies")))
    return modules_hash((*dict.fromkeys(modules), *_decoder_modules(kind)))


def groups_hash(experiment: Experiment, dataset: str) -> str:
    """Code that a data set's groups depend on."""
    entry = experiment.catalogues.datasets[dataset]
    if entry.source == "worlds":
        modules = ("data/worlds/*.py",)
    else:
        source = f"data/sources/{type(entry).__module__.rpartition('.')[2]}.py"
        modules = (*_READ, *_with_imports(source, ("data",)))
    return modules_hash(tuple(dict.fromkeys(("data/prepare.py", "data/types.py", *modules))))


def scores_hash() -> str:
    """Code that scores depend on."""
    return modules_hash(("evaluation/*.py", "evaluation/metrics/*.py", "data/letters.py"))


def judge_hash() -> str:
    """Code that a judge's verdicts depend on."""
    return modules_hash(("evaluation/judge.py", "evaluation/judging.py"))


def reporting_hash() -> str:
    """Code that tables and figures depend on."""
    return modules_hash(("reporting/*.py", "evaluation/statistics.py"))


def training_hash() -> str:
    """Code that the tiny model depends on."""
    return modules_hash(("training/*.py", "data/worlds/*.py", "prompts/*.py"))


def model_hash(experiment: Experiment, model: str) -> str:
    """Hash of a local model's files; a hub model is told by its id and revision."""
    entry = experiment.catalogues.models[model]
    if entry.path is None:
        return f"{entry.hub}@{entry.revision}"
    return folder_hash(Path(entry.path).expanduser())


@cache
def folder_hash(folder: Path) -> str:
    """Hash of a model folder: small files whole, large ones by size, first and last megabyte.

    Only files that decide tokens count (MODEL_FILES), so a new model card re-runs nothing. A folder
    that is not there hashes like an empty one.
    """
    digest = hashlib.sha256()
    found = {path for pattern in MODEL_FILES for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(found):
        size = path.stat().st_size
        digest.update(f"{path.relative_to(folder)}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _SMALL_BYTES:
                digest.update(file.read())
            else:
                digest.update(file.read(2**20))
                file.seek(-(2**20), os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()[:16]
