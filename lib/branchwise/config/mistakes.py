"""What is wrong with a config, in one line: the key as the user wrote it, what was given, the way out."""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from branchwise.errors import UserError

M = TypeVar("M", bound=BaseModel)


def validate(model: type[M], content: Mapping[str, Any], source: str) -> M:
    """A typed record of some content. Raises UserError for the first mistake; `source` is what it calls
    the content.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _explain(error, model, source) from None


def nearest(given: str, known: Sequence[str]) -> str:
    """Advice after an unknown name: the nearest known one, and all of them."""
    # Comparing takes the square of the length.
    near = difflib.get_close_matches(given[:200], known, n=1, cutoff=0.5)
    options = ", ".join(sorted(known))
    return f"did you mean {near[0]}? Known: {options}" if near else f"known: {options}"


def _explain(error: ValidationError, model: type[BaseModel], source: str) -> UserError:
    # A typo makes two errors, an unknown key and a missing one; the first says more.
    found = error.errors(include_url=False)
    # A list all of whose parts are wrong is not also too short.
    marked = [one["loc"] for one in found]
    found = [one for one in found if one["type"] != "too_short" or not _holds(one["loc"], marked)]
    errors = sorted(found, key=lambda one: one["type"] != "extra_forbidden")
    first = errors[0]
    places, known = _walk(model, first["loc"], first["type"] == "extra_forbidden")
    key = ".".join(_cut(place) for place in places) or "the config"
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    given, kind = first["input"], first["type"]
    if kind == "extra_forbidden":
        return UserError(f"{source}: unknown key {key}{more}", nearest(places[-1], known))
    if kind == "missing":
        return UserError(f"{source}: key {key} is missing{more}", "add it")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _untagged(f"{source}: key {key}.", more, first.get("ctx", {}))
    if kind in ("tuple_type", "list_type") and isinstance(given, str | int | float | dict):
        inside = _json(given) if isinstance(given, dict) else _masked(_cut(given))
        own = _cut(_masked(repr(given)) if not isinstance(given, int) else given)
        return UserError(f"{source}: key {key} is {own}, not a list{more}", f"write [{inside}]")
    bounds = {name: str(bound).removesuffix(".0") for name, bound in first.get("ctx", {}).items()}
    remedy = _ADVICE[kind].format(**bounds) if kind in _ADVICE else first["msg"]
    remedy = _cut(_masked(remedy).removeprefix("Value error, "), 400)
    return UserError(f"{source}: key {key} is {_json(given)}{more}", remedy)


def _holds(place: tuple, others: Sequence[tuple]) -> bool:
    """Whether one of the other places is inside of this one."""
    return any(len(other) > len(place) and other[: len(place)] == place for other in others)


_ADVICE = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "write a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "write a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "write true or false"),
    "string_type": "write a text, in quotes where YAML takes it for something else",
    "literal_error": "write {expected}",
    "greater_than": "write a number over {gt}",
    "greater_than_equal": "write {ge} or more",
    "less_than": "write a number under {lt}",
    "less_than_equal": "write {le} or less",
    "too_short": "give at least {min_length}",
}
"""What to do about pydantic's commonest errors; others are told in its own words."""


def _untagged(where: str, more: str, found: Mapping[str, Any]) -> UserError:
    """An entry whose kind (`source`, `kind`) is none, or is missing."""
    tag = found["discriminator"].strip("'")
    if "tag" not in found:
        return UserError(f"{where}{tag} is missing{more}", "add it")
    known = [one.strip("'") for one in found["expected_tags"].split(", ")]
    return UserError(
        f"{where}{tag} is {_json(found['tag'])}{more}", _cut(_masked(nearest(found["tag"], known)), 400)
    )


_SECRET = re.compile(
    r"""((?:key|token|secret|password|authorization)["']?\s*:\s*["']).*?(?=["'])|(//)[^/@\s"']*(?=@)"""
    r"""|\b()(?:sk-|hf_)[\w-]{8,}""",
    re.IGNORECASE,
)
"""What may be a key in what somebody wrote: it would stand in terminals and logs."""


def _masked(text: str) -> str:
    return _SECRET.sub(lambda found: f"{found[1] or found[2] or ''}[key]", text)


def _json(value: Any) -> str:
    """A value as the user may have written it, its beginning where it is long, and no key."""
    try:
        return _cut(_masked(json.dumps(value, default=str, ensure_ascii=False)))
    except (ValueError, TypeError, RecursionError):  # a key that is no text, a number beyond all digits
        return f"a {type(value).__name__}"


def _cut(value: Any, most: int = 80) -> str:
    """A text of a message, its beginning where it is long."""
    try:
        text = str(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number of thousands of digits"
    return text if len(text) <= most else f"{text[:most]}..."


def _walk(
    model: type[BaseModel], location: Sequence[int | str], ends_in_key: bool
) -> tuple[list[str], list[str]]:
    """The parts of a location that the user wrote (no names of types, which pydantic puts between them;
    the last is none where the location `ends_in_key`), and the keys that are allowed beside the last one.
    """
    candidates: list[Any] = [model]
    places: list[str] = []
    known: list[str] = []
    for number, part in enumerate(location):
        last = number + 1 == len(location)
        models = [m for candidate in candidates for m in _models(candidate)]
        tagged = [m for m in models if part in _tags(m)]
        inside = [inner for candidate in candidates for inner in _inside(candidate, part)]
        if not inside and tagged:
            candidates = tagged
            continue
        known = [key for m in models for key in _keys(m)] or known
        if inside or (last and (ends_in_key or isinstance(part, int) or _is_key(part))):
            places.append(str(part))
            candidates = inside or candidates
    return places, list(dict.fromkeys(known))


def _is_key(part: int | str) -> bool:
    """Whether a part can be a key that somebody wrote, and not pydantic's name of a type."""
    return isinstance(part, str) and not any(sign in part for sign in "[]()'") and part not in _TYPES


_TYPES = {"str", "int", "float", "bool", "Selection"}


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _inside(annotation: Any, part: int | str) -> list[Any]:
    """Types of what lies at `part` within a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part == (field.alias or name):
                return [field.annotation]
        return []
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (dict, Mapping):
        return [args[1]] if isinstance(part, str) else []
    if origin in (tuple, list):
        return [args[0]] if isinstance(part, int) else []
    if origin in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        return [inner for member in args for inner in _inside(member, part)]
    return []


def _tags(model: type[BaseModel]) -> set[Any]:
    tags = (model.model_fields.get(name) for name in ("source", "kind"))
    return {value for field in tags if field for value in get_args(field.annotation)}


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Union, UnionType) or hasattr(annotation, "__metadata__"):
        return [m for arg in get_args(annotation) for m in _models(arg)]
    return []
