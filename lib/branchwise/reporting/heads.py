"""What a result file says of itself at its beginning, read without the rest: whose it is, and of what."""

import codecs
import json
import os
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from branchwise.errors import UserError
from branchwise.results import SCHEMA_VERSION, Identity, read_json
from branchwise.times import TIMES_VERSION

R = TypeVar("R", bound=BaseModel)


class Kind(NamedTuple):
    """A kind of result file: what messages call it, the schema version that is read, and the first fields
    that it must have, in the order in which they are written.
    """

    name: str
    version: int
    fields: tuple[str, ...]


RUN = Kind("run record", SCHEMA_VERSION, ("cell", "identity"))
SCORES = Kind("file of scores", SCHEMA_VERSION, ("cell", "identity", "scoring"))
TIMES = Kind("file of times", TIMES_VERSION, ("dataset", "model", "identity"))

_ANEW = "remove it and make it anew, or put the right file in its place"
_CHUNK = 1 << 14
_SPACE = " \t\r\n"


class _NotYetError(Exception):
    """The text ends before what is looked for."""


def head_of(path: Path, kind: Kind) -> dict[str, Any]:
    """The first fields of a result file; `identity` and `scoring` typed. The rest of it is not read, but
    that it ends as a JSON object does is seen to.

    Raises UserError, in one line that names the file, where it cannot be opened, is cut off, is no JSON,
    of another kind or of another schema version.
    """
    try:
        with path.open("rb") as file:
            found = _fields_of(file, ("schema_version", *kind.fields))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}", _ANEW) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no {kind.name}: {error}", _ANEW) from None
    version = found.get("schema_version")
    if version != kind.version:
        stated = "no schema version" if version is None else f"schema version {version}"
        raise UserError(
            f"{path} is of {stated}, not of {kind.version}, which this program reads as {kind.name}",
            "make it anew, or use the program that wrote it",
        )
    if missing := [name for name in kind.fields if name not in found]:
        raise UserError(f"{path} is no {kind.name}: it has no {missing[0]}", _ANEW)
    for name in ("identity", "scoring"):
        if name in found:
            found[name] = _identity(path, kind, found[name])
    return found


def read_result(path: Path, model: type[R], kind: Kind) -> R:
    """A result file, whole. Raises UserError as `head_of` and `read_json` do."""
    if path.exists():
        head_of(path, kind)
    return read_json(path, model)


def _identity(path: Path, kind: Kind, content: Any) -> Identity:
    try:
        return Identity.model_validate(content)
    except ValidationError:
        raise UserError(f"{path} is no {kind.name}: it does not say what it was made of", _ANEW) from None


def _fields_of(file: BinaryIO, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a JSON object, read until all are found. Raises ValueError with the reason."""
    size = os.fstat(file.fileno()).st_size
    data = b""
    while True:
        data += file.read(max(_CHUNK, len(data)))
        is_whole = len(data) >= size
        text, _ = codecs.utf_8_decode(data, "strict", is_whole)
        try:
            found = _parsed(text, names)
            break
        except _NotYetError:
            if is_whole:
                raise ValueError("it is cut off" if data.strip() else "it is empty") from None
    file.seek(-min(size, 64), os.SEEK_END)
    if not file.read().rstrip().endswith(b"}"):
        raise ValueError("it is cut off")
    return found


def _parsed(text: str, names: tuple[str, ...]) -> dict[str, Any]:
    """The same of a text that may be the beginning of one. Raises _NotYetError where it ends before."""
    found: dict[str, Any] = {}
    at = _past_space(text, 0)
    if text[at] != "{":
        raise ValueError("it is no JSON object")
    at = _past_space(text, at + 1)
    while text[at] != "}":
        name, at = _value(text, at)
        at = _past_space(text, at)
        if not isinstance(name, str) or text[at] != ":":
            raise ValueError("it is no JSON")
        value, at = _value(text, _past_space(text, at + 1))
        at = _past_space(text, at)
        found[name] = value
        if all(one in found for one in names):
            break
        if text[at] == ",":
            at = _past_space(text, at + 1)
        elif text[at] != "}":
            raise ValueError("it is no JSON")
    return {name: found[name] for name in names if name in found}


def _value(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError:
        # Whether it is broken, or goes on where the text was cut, shows when all of it is there.
        raise _NotYetError from None


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    if at == len(text):
        raise _NotYetError
    return at


_DECODER = json.JSONDecoder()
