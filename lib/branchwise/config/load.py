"""Reads config files into an `Experiment`, or says in one line what is wrong with them."""

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from branchwise.config.entries import Catalogues, missing_verbs
from branchwise.config.types import Cell, Experiment
from branchwise.errors import UserError

CATALOGUE_FOLDER = Path("config/catalogues")
AXES = {"dataset": "datasets", "model": "models", "strategy": "strategies", "decoder": "decoders"}
CATALOGUES = (*AXES.values(), "dependencies")


def load_experiment(
    paths: Sequence[Path | str],
    overrides: Mapping[str, Any] | None = None,
    root: Path = Path(),
) -> Experiment:
    """The experiment that `paths` describe, later files over earlier ones, `overrides` over all.

    Raises UserError for anything that is not right: unknown keys and names (with the nearest valid
    one), values out of range, and cells whose decoder cannot do what the strategy needs.
    """
    merged = _merge(read_configs(paths), overrides or {})
    return parse_experiment(merged, ", ".join(str(path) for path in paths) or "the config", root)


def read_configs(paths: Sequence[Path | str]) -> dict[str, Any]:
    """The content of config files, later ones over earlier ones, unchecked."""
    merged: dict[str, Any] = {}
    for path in paths:
        merged = _merge(merged, read_yaml(Path(path)))
    return merged


def parse_experiment(content: Mapping[str, Any], source: str, root: Path = Path()) -> Experiment:
    """The experiment that `content` describes; `source` is what errors call it."""
    experiment = _validate(Experiment, content, source)
    catalogues = load_catalogues(root)
    both = {
        name: {**getattr(catalogues, name), **getattr(experiment.define, name)} for name in CATALOGUES
    }
    experiment.bind(Catalogues.model_construct(**both))
    _check_names(experiment, source)
    _check_cells(experiment, source)
    return experiment


def load_catalogues(root: Path = Path()) -> Catalogues:
    """All entries of config/catalogues below `root`."""
    content = {}
    for axis in CATALOGUES:
        path = root / CATALOGUE_FOLDER / f"{axis}.yaml"
        content[axis] = _validate(Catalogues, {axis: read_yaml(path)}, str(path))
    merged = {axis: getattr(part, axis) for axis, part in content.items()}
    return Catalogues.model_construct(**merged)


E = TypeVar("E", bound=BaseModel)


def revised(entry: E, changes: Mapping[str, Any], source: str) -> E:
    """An entry with some of its values changed, checked like one that was read."""
    return _validate(type(entry), {**entry.model_dump(), **changes}, source)


def validated(model: type[E], path: Path) -> E:
    """A YAML file as a typed record; mistakes are told like those of a config file."""
    return _validate(model, read_yaml(path), str(path))


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises UserError where it does not."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, _siblings(path), n=1)
        hint = f"did you mean {path.with_name(near[0])}?" if near else "check the path"
        raise UserError(f"config file {path} does not exist", hint) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise UserError(f"{path}{line} is not valid YAML", "mend the file") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a mapping", "write `key: value` lines")
    return content


def _siblings(path: Path) -> list[str]:
    return [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mapping by mapping, as Snakemake merges config files."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        merged[key] = _merge(old, value) if both else value
    return merged


# ----- errors in one line -----


def _validate(model: type[BaseModel], content: Mapping[str, Any], source: str) -> Any:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(error, model, source) from None


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> UserError:
    """The first mistake of a validation error, with the place, the value and the way out."""
    # A typo makes two errors, an unknown key and a missing one; the first says more.
    errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    first = errors[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, first["loc"][:-1])
        return UserError(f"{source}: unknown key {key}{more}", nearest(location[-1], known))
    if first["type"] == "missing":
        return UserError(f"{source}: key {key} is missing{more}", "add it")
    given = json.dumps(first["input"], default=str)[:80]
    return UserError(f"{source}: key {key} is {given}{more}", first["msg"])


def nearest(given: str, known: Sequence[str]) -> str:
    """Advice after an unknown name: the nearest known one, and all of them."""
    near = difflib.get_close_matches(given, known, n=1, cutoff=0.5)
    options = ", ".join(sorted(known))
    return f"did you mean {near[0]}? Known: {options}" if near else f"known: {options}"


def _known_keys(model: Any, location: Sequence[int | str]) -> list[str]:
    """Keys allowed at `location` below `model`, following mappings, tuples and tagged unions."""
    candidates = [model]
    for part in location:
        candidates = [inner for c in candidates for inner in _inside(c, part)]
    keys: dict[str, None] = {}
    for candidate in candidates:
        for found in _models(candidate):
            keys |= dict.fromkeys(found.model_fields)
    return list(keys)


def _inside(annotation: Any, part: int | str) -> list[Any]:
    """Types of what lies at `part` within a type; a union's tag leads to the members it names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return [field.annotation] if field else []
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (dict, Mapping):
        return [args[1]]
    if origin in (tuple, list):
        return [args[0]]
    found = [m for m in _models(annotation) if part in _tags(m)]
    return list(found) or [inner for member in args for inner in _inside(member, part)]


def _tags(model: type[BaseModel]) -> set[Any]:
    tags = (model.model_fields.get(name) for name in ("source", "kind"))
    return {value for field in tags if field for value in get_args(field.annotation)}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        return [m for arg in get_args(annotation) for m in _models(arg)]
    return []


def _check_names(experiment: Experiment, source: str) -> None:
    for axis, plural in AXES.items():
        known = getattr(experiment.catalogues, plural)
        used = list(getattr(experiment, plural))
        if len(set(used)) < len(used):
            raise UserError(f"{source}: {plural} names something twice: {used}", "name it once")
        for exclusion in experiment.exclude:
            names = getattr(exclusion, axis)
            used += [names] if isinstance(names, str) else list(names or ())
        for name in used:
            if name not in known:
                raise UserError(f"{source}: unknown {axis} {name}", nearest(name, list(known)))
    for strategy, entry in experiment.catalogues.strategies.items():
        name = entry.dependencies
        known = experiment.catalogues.dependencies
        if name is not None and name not in known:
            raise UserError(
                f"{source}: strategy {strategy} has unknown dependencies {name}",
                nearest(name, list(known)),
            )
    for dataset in experiment.judged:
        if dataset not in experiment.datasets:
            raise UserError(
                f"{source}: judged names {dataset}, which is not among the datasets",
                nearest(dataset, experiment.datasets),
            )
    if experiment.judged and experiment.judge is None:
        raise UserError(f"{source}: judged is given, but no judge", "add `judge:` with its model")
    if experiment.baseline not in experiment.strategies:
        raise UserError(
            f"{source}: baseline is {experiment.baseline}, which is not among the strategies",
            nearest(experiment.baseline, experiment.strategies),
        )


def _check_cells(experiment: Experiment, source: str) -> None:
    """Refuse cells that cannot run, all with the reason, before anything is planned."""
    if not experiment.cells:
        raise UserError(f"{source}: the exclusions leave no cell", "exclude less")
    strategies, decoders = experiment.catalogues.strategies, experiment.catalogues.decoders
    for cell in experiment.cells:
        missing = missing_verbs(strategies[cell.strategy], decoders[cell.decoder])
        if missing:
            raise impossible(cell, missing, source)


def impossible(cell: Cell, missing: Sequence[str], source: str) -> UserError:
    """The error for a strategy whose decoder lacks a verb."""
    verbs = " and ".join(missing)
    return UserError(
        f"{source}: cell {cell} is impossible: strategy {cell.strategy} needs {verbs}, "
        f"which decoder {cell.decoder} does not offer",
        f"choose another decoder or exclude {{strategy: {cell.strategy}, decoder: {cell.decoder}}}",
    )
