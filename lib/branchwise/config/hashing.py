"""Content hashes: of code by its imports, of models, of data.

They say what a result was made of. Editing a strategy re-runs exactly its cells, while a clone (new
times, same content) or a commit re-runs nothing.
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from branchwise.config.imports import LIBRARY, closure
from branchwise.config.once import once
from branchwise.config.types import Cell, Experiment
from branchwise.decoding.models.files import folder_hash
from branchwise.decoding.models.gguf import file_of
from branchwise.dependencies.entries import AttentionEntry
from branchwise.files import content_hash, value_hash
from branchwise.strategies.loading import source_of


def answers_files(experiment: Experiment, cell: Cell) -> list[Path]:
    """Files that a cell's answers depend on: the cell's runner, its strategy and its decoder, and what
    these import. The config is not among them: all that it decides is in the settings.
    """
    return closure(_answers_roots(experiment, cell.strategy, cell.decoder))


@once
def _answers_roots(experiment: Experiment, strategy: str, decoder: str) -> tuple[Path, ...]:
    catalogues = experiment.catalogues
    source = source_of(catalogues.strategies[strategy].module)
    # What merges a cell's shards is imported by what runs them.
    return LIBRARY / "cells/cell.py", source, _file_of(type(catalogues.decoders[decoder]))


def answers_code(experiment: Experiment, cell: Cell) -> str:
    """Hash of the code that a cell's answers depend on."""
    return _code(*_answers_roots(experiment, cell.strategy, cell.decoder))


def times_code(experiment: Experiment, cells: Iterable[Cell]) -> str:
    """Hash of the code that the times of some cells depend on."""
    roots = [r for cell in cells for r in _answers_roots(experiment, cell.strategy, cell.decoder)[1:]]
    return _code(LIBRARY / "cells/timing.py", *dict.fromkeys(roots))


def dependencies_code(experiment: Experiment, name: str, *decoders: type) -> str:
    """Hash of the code that found dependencies depend on; `decoders`: what a model is asked by."""
    entry = experiment.catalogues.dependencies[name]
    generator = LIBRARY / f"cells/generators/{entry.generator}.py"
    return _code(LIBRARY / "cells/depending.py", generator, *map(_file_of, decoders))


def paraphrases_code(*decoders: type) -> str:
    """Hash of the code that made paraphrases depend on."""
    roots = (LIBRARY / "cells/paraphrasing.py", LIBRARY / "cells/staging.py")
    return _code(*roots, *map(_file_of, decoders))


def confidence_code(*decoders: type) -> str:
    """Hash of the code that confidences depend on, beside the paraphrases."""
    roots = (LIBRARY / "cells/confiding.py", LIBRARY / "cells/staging.py")
    return _code(*roots, *map(_file_of, decoders))


def groups_code(experiment: Experiment, dataset: str) -> str:
    """Hash of the code that a data set's groups depend on."""
    entry = experiment.catalogues.datasets[dataset]
    return _code(LIBRARY / "data/prepare.py", _file_of(type(entry)))


def scores_code() -> str:
    """Hash of the code that scores depend on."""
    return _code(LIBRARY / "evaluation/score.py")


def judge_code(*decoders: type) -> str:
    """Hash of the code that a judge's verdicts depend on, with the decoders that ask it."""
    asking = (LIBRARY / "cells/judges.py",) if decoders else ()
    return _code(LIBRARY / "evaluation/judging.py", *asking, *map(_file_of, decoders))


def reporting_code() -> str:
    """Hash of the code that tables and figures depend on."""
    return _code(LIBRARY / "reporting/tables.py", LIBRARY / "reporting/figures.py")


def tables_code() -> str:
    """Hash of the code that tables and what lies beside them depend on, with the page's templates."""
    names = ("answers", "only_wrong", "style.css")
    templates = sorted((LIBRARY / "reporting/templates").glob("*.jinja"))
    used = [path for path in templates if path.name.startswith(names)]
    roots = (LIBRARY / f"reporting/{name}.py" for name in ("tables", "tidy", "answer_page"))
    return value_hash([_code(*roots), *map(_content, used)])


def pages_code() -> str:
    """Hash of the code and the templates that pages depend on."""
    templates = sorted((LIBRARY / "reporting/templates").glob("*.jinja"))
    return value_hash([_code(LIBRARY / "commands/pages.py"), *map(_content, templates)])


def masks_code(experiment: Experiment, cell: Cell) -> str:
    """Hash of the code that a cell's recorded masks depend on."""
    roots = _answers_roots(experiment, cell.strategy, cell.decoder)
    return _code(LIBRARY / "cells/masks.py", *roots)


def mask_figure_code() -> str:
    """Hash of the code that the picture of a mask depends on."""
    return _code(LIBRARY / "reporting/mask_figure.py")


def lanes_figure_code() -> str:
    """Hash of the code that the picture of a group's branches over time depends on."""
    return _code(LIBRARY / "commands/lanes.py", LIBRARY / "reporting/lanes_figure.py")


def checkpoint_code() -> str:
    """Hash of the code that a checkpoint depends on."""
    return _code(LIBRARY / "training/making.py")


def training_code() -> str:
    """Hash of the code that the tiny model depends on."""
    return _code(LIBRARY / "training/tiny.py")


def _file_of(kind: type) -> Path:
    """The file that a type of the library is defined in."""
    return LIBRARY.parent / (kind.__module__.replace(".", "/") + ".py")


@cache
def _code(*roots: Path) -> str:
    """Hash of some files and all that they import, by name and text; where a file outside of the library
    lies does not count. Once for all cells that run the same.
    """
    digest = hashlib.sha256()
    for path in closure(roots):
        name = path.relative_to(LIBRARY).as_posix() if path.is_relative_to(LIBRARY) else path.name
        digest.update(f"{name}\0{_content(path)}\0".encode())
    return digest.hexdigest()[:12]


@cache
def _content(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def model_hash(experiment: Experiment, model: str) -> str | None:
    """Hash of a local model's files, None where there are none; of a hub model its id and revision."""
    entry = experiment.catalogues.models[model]
    if entry.hub is not None:
        name = f"{entry.hub}@{entry.revision}"
        return name if entry.gguf is None else f"{name}/{entry.gguf}"
    if entry.gguf is not None:
        # What it is converted to follows from it, and is not made to know a name.
        file = file_of(entry)
        return content_hash(file) if file else None
    return folder_hash(Path(entry.path)) if entry.path else None


def encoder_of(experiment: Experiment, entry: AttentionEntry) -> str:
    """The encoder of an entry: its own, the experiment's, or the published one."""
    return entry.encoder or experiment.roles.encoder or "bert-base-uncased"
