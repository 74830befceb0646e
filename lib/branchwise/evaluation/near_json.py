"""JSON as models write it, taken out of a text.

Read are also raw line breaks and inner quotes in strings, commas before a closing bracket, single
quotes, and bare keys and values, which come out as texts. Nothing is guessed: a value that lacks a
comma, a quote or its end is `BROKEN`. (json_repair reads "4, 5", "4 out of 10" and "1 to 5" as numbers.)
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

BROKEN = object()
"""Stands for a value that cannot be read."""

_PIECE = re.compile(
    r'"(?:[^"\\]|\\.|"(?!\s*(?:[,}\]:]|\Z)))*+"'  # an inner quote has no mark of JSON after it
    r"|'(?:[^'\\]|\\.|'(?!\s*(?:[,}\]:]|\Z)))*+'"
    r"|[{}\[\],:]|\s+|[^\s\"'{}\[\],:][^\"{}\[\],:\n]*",
    re.DOTALL,
)


def values_of(text: str, names: Sequence[str]) -> Iterator[tuple[int, int, Any]]:
    """Start, end and value of every outermost object, and list of objects. What begins like one, names
    a grade and cannot be read is `BROKEN`, and what stands inside of it is not looked at.
    """
    decoder = json.JSONDecoder(strict=False)
    at = 0
    while match := re.compile(r"\{|\[(?=\s*\{)").search(text, at):
        start = match.start()
        try:
            value, at = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            value, at = _nearly(text, start)
            inside = text[start:at].casefold()
            if value is BROKEN and not any(name in inside for name in names):
                continue
        yield start, at, value


def _nearly(text: str, start: int) -> tuple[Any, int]:
    """The value of what is JSON but for the liberties that the module names, and its end; `BROKEN` and
    where its brackets are closed (or the end of the text) where more is wrong.
    """
    pieces: list[str] = []
    depth, at = 0, start
    while match := _PIECE.match(text, at):
        pieces.append(match[0])
        at = match.end()
        depth += (match[0] in "{[") - (match[0] in "}]")
        if depth == 0:
            try:
                return json.loads(_strict(pieces), strict=False), at
            except (json.JSONDecodeError, RecursionError):
                return BROKEN, at
    return BROKEN, _closed(text, start)


def _strict(pieces: Sequence[str]) -> str:
    """Pieces of a value as JSON: all words in double quotes, numbers too, and no comma at an end."""
    kept: list[str] = []
    for piece in pieces:
        if piece in "}]" and kept and kept[-1] == ",":
            kept.pop()
        if not piece.isspace():
            kept.append(piece if piece in "{}[],:" else _quoted(piece))
    return "".join(kept)


def _quoted(piece: str) -> str:
    """A word, or a string in either quotes, as a string of JSON."""
    if piece[0] not in "\"'":
        return json.dumps(piece.strip())
    inside = re.sub(r"\\(?=[^\"\\/bfnrtu])", "", piece[1:-1])
    return '"' + re.sub(r'(?<!\\)"', r"\\" + '"', inside) + '"'


def _closed(text: str, start: int) -> int:
    """Where as many brackets are closed as were opened, whatever is quoted; else the end."""
    depth = 0
    for match in re.compile(r"[{}\[\]]").finditer(text, start):
        depth += 1 if match[0] in "{[" else -1
        if depth == 0:
            return match.end()
    return len(text)
