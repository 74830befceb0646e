"""Rows of files and of the hub, one at a time, each with its place: nothing is held in memory.

A row that cannot be read comes out as a BadRow. What follows it in a file of JSON lines is read on;
in one JSON document, or a compressed file that is cut off, nothing can follow.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from branchwise.data.sources.base import BadRow
from branchwise.errors import UserError

Rows = Iterator[tuple[str, Any]]


def file_rows(path: Path, rows_at: str) -> Rows:
    """Rows of a JSON or JSON-lines file, compressed by gzip or not; `rows_at` as in FileDataset.

    Raises UserError where the file is missing or no row of it is where it should be.
    """
    if path.is_dir():
        raise UserError(f"data file {path} is a folder", "give the file in it")
    if not path.is_file():
        raise UserError(f"data file {path} does not exist", "check the path")
    with _opened(path) as file:
        if _holds_lines(file, path):
            yield from _lines(file)
        else:
            yield from _document(file, path, rows_at)


def _opened(path: Path) -> BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _holds_lines(file: BinaryIO, path: Path) -> bool:
    """Whether a file holds a value a line: by its name, or by a first line that is a whole object with
    another below it. The file is left after its byte-order mark, if it has one.
    """
    names = [suffix.lower() for suffix in path.suffixes if suffix != ".gz"]
    named = bool(names) and names[-1] in (".jsonl", ".ndjson")
    start = 0
    try:
        start = len(_MARK) if file.read(len(_MARK)) == _MARK else 0
        file.seek(start)
        if not named:
            first, second = file.readline(_LONGEST_FIRST), file.readline(2)
            named = second[:1] in (b"{", b"[") and isinstance(json.loads(first), dict)
    except (*_CUT_OFF, ValueError, RecursionError):
        # What is wrong with the file is told, with its place, by whoever reads its rows.
        pass
    file.seek(start)
    return named


_MARK = b"\xef\xbb\xbf"
_LONGEST_FIRST = 2**22
_CUT_OFF = (EOFError, gzip.BadGzipFile, zlib.error)


def _lines(file: BinaryIO) -> Rows:
    number = 0
    try:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"line {number}"
            try:
                yield place, json.loads(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                yield place, BadRow(place, f"not UTF-8 (byte {error.start} of the line)")
            except json.JSONDecodeError as error:
                yield place, BadRow(place, f"not JSON: {error.msg} at column {error.colno}")
            except (ValueError, RecursionError) as error:
                yield place, BadRow(place, f"not JSON that can be read: {_first_line(error)}")
    except _CUT_OFF as error:
        place = f"line {number + 1}"
        yield place, BadRow(place, f"the compressed file is cut off or broken: {_first_line(error)}")


def _document(file: BinaryIO, path: Path, rows_at: str) -> Rows:
    import ijson

    label = rows_at.removesuffix("item").rstrip(".")
    number = -1
    try:
        if rows_at == "*":
            for key, value in ijson.kvitems(file, "", use_float=True):
                number += 1
                yield f"[{key!r}]", (key, value)
        else:
            for number, value in enumerate(ijson.items(file, rows_at, use_float=True)):
                yield f"{label}[{number}]", value
    except (ijson.JSONError, UnicodeDecodeError, *_CUT_OFF) as error:
        place = f"{label}[{number + 1}]"
        what = (
            "the compressed file is cut off or broken"
            if isinstance(error, _CUT_OFF)
            else "the file is broken"
        )
        yield place, BadRow(place, f"{what} here: {_first_line(error)}")
        return
    if number < 0:
        where = {"*": "an object with members", "item": "a list with rows"}.get(
            rows_at, f"a list `{label}` with rows"
        )
        raise UserError(f"{path} does not hold {where}", "give a file in the authors' schema")


def _first_line(error: Exception) -> str:
    """The first line of an error's text; ijson's parser gives bytes."""
    given = error.args[0] if error.args else ""
    text = given.decode("utf-8", "replace") if isinstance(given, bytes) else str(error)
    text = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    return "not UTF-8" if "invalid bytes in UTF8" in text else text


def hub_rows(hub: str, config: str | None, revision: str | None, split: str) -> Rows:
    """Rows of a hub data set, or of a local folder of the same form, each with its number.

    Raises UserError where it cannot be had, saying why.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        rows = datasets.load_dataset(hub, config, revision=revision, split=split)
    except (DatasetsError, ConnectionError, OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{hub} could not be read from the hub: {_first_line(error)}",
            "go online once, or give `path:` to a local file in the authors' schema",
        ) from error
    for number, row in enumerate(rows):
        yield f"{hub} {split}[{number}]", dict(row)
