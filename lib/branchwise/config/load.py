"""Reads config files into an `Experiment`, or says in one line what is wrong with them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from branchwise.config.catalogues import CATALOGUES, PATHS, Catalogues
from branchwise.config.checks import check_cells, check_names
from branchwise.config.mistakes import validate
from branchwise.config.shipped import ROOT
from branchwise.config.types import SMOKE, Experiment
from branchwise.config.yaml_files import read_yaml
from branchwise.errors import UserError
from branchwise.files import expanded

CATALOGUE_FOLDER = Path("config/catalogues")

E = TypeVar("E", bound=BaseModel)


def load_experiment(
    paths: Sequence[Path | str],
    overrides: Mapping[str, Any] | None = None,
    root: Path = ROOT,
) -> Experiment:
    """The experiment that `paths` describe, later files over earlier ones, `overrides` over all.

    Relative paths of entries that a file defines are relative to that file; those of overrides to the
    working directory. Raises UserError for anything that is not right: unknown keys and names (with the
    nearest valid one), values out of range, and cells whose decoder cannot do what the strategy needs.
    """
    merged: dict[str, Any] = {}
    origins: dict[tuple[str, str], str] = {}
    for path in map(Path, paths):
        content = _located(read_yaml(path), path.absolute().parent)
        origins |= _origins(content, str(path.absolute()))
        merged = merge(merged, content)
    if overrides:
        content = _located(dict(overrides), Path.cwd())
        origins |= _origins(content, "the command line")
        merged = merge(merged, content)
    source = ", ".join(str(Path(path).absolute()) for path in paths) or "the config"
    try:
        return parse_experiment(merged, source, root, origins)
    except UserError:
        if overrides and paths:
            load_experiment(paths, None, root)
            # The files alone are right, so that what was laid over them is not.
            return parse_experiment(merged, f"the command line, over {source}", root, origins)
        raise


def parse_experiment(
    content: Mapping[str, Any],
    source: str,
    root: Path = ROOT,
    origins: Mapping[tuple[str, str], str] | None = None,
) -> Experiment:
    """The experiment that `content` describes; `source` is what errors call it, `origins` where entries
    of it come from, by catalogue and name.
    """
    experiment = validate(Experiment, content, source)
    if experiment.smoke:
        experiment = experiment.model_copy(update=_small(experiment))
    catalogues = load_catalogues(root)
    both = {
        name: {**getattr(catalogues, name), **getattr(experiment.define, name)} for name in CATALOGUES
    }
    files = {axis: str(root / CATALOGUE_FOLDER / f"{axis}.yaml") for axis in CATALOGUES}
    where = {(axis, name): files[axis] for axis in CATALOGUES for name in getattr(catalogues, axis)}
    where |= {(axis, name): source for axis in CATALOGUES for name in getattr(experiment.define, axis)}
    if experiment.smoke:
        both["datasets"] = {
            name: _few(entry, experiment.smoke) for name, entry in both["datasets"].items()
        }
    experiment.bind(Catalogues.model_construct(None, **both), where | dict(origins or {}))
    check_names(experiment, source)
    check_cells(experiment, source)
    return experiment


def _small(experiment: Experiment) -> dict[str, Any]:
    """What a smoke test has otherwise than its experiment: its places, and no times."""
    return {
        "results": experiment.results + SMOKE,
        "figures": experiment.figures + SMOKE,
        "cells_at": None,
        "timed_groups": 0,
    }


def _few(entry: E, most: int) -> E:
    """A data set with a few groups."""
    number = getattr(entry, "num_groups", None)
    return entry.model_copy(update={"num_groups": most if number is None else min(number, most)})


def load_catalogues(root: Path = ROOT) -> Catalogues:
    """All entries of config/catalogues below `root`."""
    merged = {}
    for axis in CATALOGUES:
        path = root / CATALOGUE_FOLDER / f"{axis}.yaml"
        entries = _located({"define": {axis: read_yaml(path)}}, root.absolute())["define"]
        merged[axis] = getattr(validate(Catalogues, entries, str(path)), axis)
    return Catalogues.model_construct(None, **merged)


def revised(entry: E, changes: Mapping[str, Any], source: str) -> E:
    """An entry with some of its values changed, checked like one that was read."""
    return validate(type(entry), {**entry.model_dump(exclude_unset=True), **changes}, source)


def validated(model: type[E], path: Path) -> E:
    """A YAML file as a typed record; mistakes are told like those of a config file."""
    return validate(model, read_yaml(path), str(path.absolute()))


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mapping by mapping, exactly as Snakemake merges config files."""
    from copy import deepcopy

    from snakemake.utils import update_config

    merged = deepcopy(dict(base))
    update_config(merged, over)
    return merged


def _located(content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The content with relative paths of its entries (see PATHS) made absolute, below `folder`."""
    roles, define = content.get("roles"), content.get("define")
    checkpoints = content.get("checkpoints")
    if isinstance(checkpoints, Mapping):
        placed = {
            name: str(folder / expanded(value)) if isinstance(value, str) and value else value
            for name, value in checkpoints.items()
        }
        content = {**content, "checkpoints": placed}
    if isinstance(roles, Mapping) and "encoder" in roles:
        content = {**content, "roles": {**roles, "encoder": _encoder(roles["encoder"], folder)}}
    if not isinstance(define, Mapping):
        return content
    placed = {
        axis: {name: _placed(axis, entry, folder) for name, entry in entries.items()}
        if isinstance(entries, Mapping)
        else entries
        for axis, entries in define.items()
    }
    return {**content, "define": placed}


def _encoder(value: Any, folder: Path) -> Any:
    """An encoder is a folder where there is one, else a name."""
    if isinstance(value, str) and value and (found := folder / expanded(value)).is_dir():
        return str(found)
    return value


def _placed(axis: str, entry: Any, folder: Path) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    entry = dict(entry)
    for key in PATHS.get(axis, ()):
        value = entry.get(key)
        if isinstance(value, str) and value and _is_file(key, value, entry):
            entry[key] = str(folder / expanded(value))
    if "encoder" in entry:
        entry["encoder"] = _encoder(entry["encoder"], folder)
    return entry


def _is_file(key: str, value: str, entry: Mapping[str, Any]) -> bool:
    """Whether a key of PATHS names a file of one's own in this entry."""
    if key == "module":
        return value.partition(":")[0].endswith(".py")
    return key != "gguf" or (entry.get("package") is None and entry.get("hub") is None)


def _origins(content: Mapping[str, Any], source: str) -> dict[tuple[str, str], str]:
    define = content.get("define")
    if not isinstance(define, Mapping):
        return {}
    return {
        (axis, name): source
        for axis, entries in define.items()
        if isinstance(entries, Mapping)
        for name in entries
    }
