"""Rows of files and of the hub, one at a time, each with its place: nothing is held in memory.

A line of JSON lines that cannot be read comes out as a BadRow, and what follows it is read on. One JSON
document, or a compressed file, that cannot be read to its end is an error: what was read of it counts for
nothing.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from branchwise.data.document import DECODER, DocumentRows
from branchwise.data.sources.base import BadRow
from branchwise.data.text import BROKEN, escaped_byte, not_unicode, opened_text, told
from branchwise.errors import UserError

Rows = Iterator[tuple[str, Any]]


def file_rows(path: Path, rows_at: str) -> Rows:
    """Rows of a JSON or JSON-lines file, compressed by gzip or not; `rows_at` as in FileDataset. Which of
    them a file is, its content tells before its name.

    Raises UserError where the file is missing, empty, no JSON, or cannot be read to its end, and where no
    row of it is where it should be.
    """
    lines = _holds_lines(path, rows_at)
    with opened_text(path) as text:
        if lines:
            yield from _lines(text, path, rows_at)
            return
        rows = DocumentRows(text, path, rows_at)
        number = 0
        for number, row in enumerate(rows, start=1):  # noqa: B007 (counted for the check below)
            yield row
    if number == 0:
        where = {"*": "an object with members", "item": "a list with rows"}.get(
            rows_at, f"a list `{rows_at.removesuffix('.item')}` with rows"
        )
        raise UserError(f"{path} does not hold {where}", "give a file in the authors' schema")


def mentions(path: Path, word: str) -> bool:
    """Whether a word stands anywhere in a data file. Raises UserError where it cannot be read."""
    kept = ""
    with opened_text(path) as text:
        while more := text.read(2**20):
            if word in kept + more:
                return True
            kept = more[-len(word) :]
    return False


_NUM_TRIED = 100
"""Lines of which one must be an object, where the first line of JSON lines is none."""

_LONGEST_TRIED = 2**22
"""Characters of such a first line, unless it is named JSON lines."""


def _holds_lines(path: Path, rows_at: str) -> bool:
    """Whether a file holds an object a line: where its first line is one and something stands below it;
    for a list of rows, also where it is the only one; where the first is none but another is; and by its
    name, unless it is a document all the same.
    """
    names = [suffix.lower() for suffix in path.suffixes if suffix != ".gz"]
    named = bool(names) and names[-1] in (".jsonl", ".ndjson")
    with opened_text(path) as text:
        first = next((char for char in iter(lambda: text.read(1), "") if not char.isspace()), "")
        if not first:
            raise UserError(f"{path} is empty", "get the file anew, or correct the path")
        if first != "{":
            if not named and first != "[":
                start = (first + text.read(30)).splitlines()[0]
                raise UserError(
                    f"{path} holds neither a list nor an object of JSON: it begins with {start!a}",
                    "give a file of JSON or JSON lines, in UTF-8",
                )
            return named and first != "["
        try:
            whole, follows = _first_line(text)
        except BROKEN:
            return named  # whoever reads the rows tells the place
    if whole and (follows or rows_at == "item"):
        return True
    if whole:
        return named and (rows_at == "*" or not _has_list(path, rows_at))
    with opened_text(path) as text:
        try:
            first_line = text.readline(-1 if named else _LONGEST_TRIED)
            if rows_at != "item" and first_line.rstrip().endswith(("{", "[", ",")):
                return False  # an object that is laid out over lines
            return any(_is_object(line) for line in islice(text, _NUM_TRIED))
        except BROKEN:
            return named


_ESCAPED = re.compile(r"\\.")
_PIECE = 2**16
"""Characters of the first line that are held at once."""


def _first_line(text: TextIO) -> tuple[bool, bool]:
    """Whether the first line is a whole object, and whether something stands below it. The text is that
    after the brace that opens it; brackets are counted as it is read, so that it may be of any length.
    """
    depth, in_string, ended, cut = 1, False, "", ""
    while not ended and (more := text.read(_PIECE)):
        bare = _ESCAPED.sub("", cut + more)
        cut = "\\" if bare.endswith("\\") else ""
        bare, ended, below = bare.removesuffix(cut).partition("\n")
        pieces = bare.split('"')
        outside = "".join(pieces[in_string::2])
        depth += sum(outside.count(mark) for mark in "{[") - sum(outside.count(mark) for mark in "}]")
        in_string ^= len(pieces) % 2 == 0
        if ended:
            below += text.read(_PIECE)
    return depth == 0 and not in_string, bool(ended and below.strip())


def _is_object(line: str) -> bool:
    """Whether a line is a whole object that begins with it: rows in a document that is laid out over
    lines are indented.
    """
    if not line.startswith("{"):
        return False
    try:
        return isinstance(DECODER.decode(line), dict)
    except (ValueError, RecursionError):
        return False


def _has_list(path: Path, rows_at: str) -> bool:
    """Whether a document has the list of rows that it should have."""
    with opened_text(path) as text:
        rows = DocumentRows(text, path, rows_at)
        for _ in rows:
            break
        return rows.found


def _lines(text: TextIO, path: Path, rows_at: str) -> Rows:
    """Rows of JSON lines. Raises UserError where one is a document of its own."""
    number = 0
    lines = iter(text)
    key = rows_at.removesuffix(".item")
    while True:
        number += 1
        place = f"line {number}"
        with told(path, place):
            line = next(lines, None)
        if line is None:
            return
        if not line.strip():
            continue
        row = _decoded(line, place)
        if key not in ("item", "*") and isinstance(row, dict) and isinstance(row.get(key), list):
            raise UserError(
                f"{path}, line {number} is a whole document (it has a list `{key}`), not a row",
                "give one document a file, or one row a line",
            )
        yield place, row


def _decoded(line: str, place: str) -> Any:
    """A line's value, or a BadRow."""
    try:
        return DECODER.decode(line)
    except json.JSONDecodeError as error:
        if escaped_byte(line) is not None:
            return BadRow(place, f"not JSON: {not_unicode(line)}")
        return BadRow(place, f"not JSON: {error.msg} at column {error.colno}")
    except RecursionError:
        return BadRow(place, "not JSON that can be read: nested too deeply")


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
            f"{hub} could not be read from the hub: {_first_words(error)}",
            "go online once, or give `path:` to a local file in the authors' schema",
        ) from error
    for number, row in enumerate(rows):
        yield f"{hub} {split}[{number}]", dict(row)


def _first_words(error: Exception) -> str:
    """The first line of an error's text."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
