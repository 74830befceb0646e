"""One JSON document, read row by row: what lies around the rows is stepped over, each row is decoded by
Python's own `json`, and only the text of the row at hand is held.

So NaN, Infinity and whole numbers of any length are read as Python reads them. A document that cannot be
read to its end is an error that names the row, the line and the column: never a part of it taken for all.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from branchwise.data.text import escaped_byte, told
from branchwise.errors import UserError

_CHUNK = 2**14
"""Characters read at once, at first; more than any token that is not a string or number has."""

_SPACE = " \t\n\r"
_LONGEST_INT = 4000
"""Digits that Python turns into a whole number; what has more is read as a float (that is, Infinity)."""


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_INT else float(digits)


# Raw tabs and line ends in strings are no JSON, but are what files hold, and hide nothing.
DECODER = json.JSONDecoder(parse_int=_whole_number, strict=False)
"""How a row is decoded, of a document or a line."""


class DocumentRows:
    """The rows of a document: an iterator of (place, value).

    `rows_at` as in FileDataset. Raises UserError, while it is iterated, where the document is broken or
    goes on after its end. `found` tells whether the list was there.
    """

    def __init__(self, text: TextIO, path: Path, rows_at: str) -> None:
        self._path = path
        self._text = text
        self._key = rows_at.removesuffix("item").rstrip(".")
        self._held = ""  # decoded text from the row at hand on
        self._at = 0
        self._ended = False
        self._line, self._column = 1, 1  # of the first held character
        self._row = "its beginning"
        self.found = False

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        if self._next() != ("{" if self._key else "["):
            return
        if self._key:
            yield from self._members()
        else:
            yield from self._elements("")
        self._row = "its end"
        if self._next():
            self._broken("the document is over, but more follows (one document a file)", self._at)

    def _members(self) -> Iterator[tuple[str, Any]]:
        """Rows below one key of an object, or, for "*", all of its members."""
        for key in self._separated("{", "}"):
            self._row = f"[{key!r}]"
            if self._key == "*":
                self.found = True
                yield self._row, (key, self._value())
            elif key == self._key and self._next() == "[":
                if self.found:
                    self._broken(f"a second list `{key}`", self._at)
                yield from self._elements(key)
            else:
                self._value()

    def _elements(self, label: str) -> Iterator[tuple[str, Any]]:
        self._row = f"{label}[0]"
        self.found = True
        for number, _ in enumerate(self._separated("[", "]"), start=1):
            yield self._row, self._value()
            self._row = f"{label}[{number}]"

    def _separated(self, opening: str, closing: str) -> Iterator[str]:
        """Step through the parts of a list or object: at each "yield" the next value is to be taken, that
        of the key that is yielded ("" in a list).
        """
        self._next()  # the one that opens it
        self._at += 1
        if self._next() == closing:
            self._at += 1
            return
        while True:
            key = ""
            if opening == "{":
                if self._next() != '"':
                    self._broken("expecting a name in double quotes", self._at)
                key = self._value()
                if self._next() != ":":
                    self._broken("expecting ':'", self._at)
                self._at += 1
            yield key
            mark = self._next()
            if mark not in (",", closing):
                self._broken(f"expecting ',' or '{closing}'", self._at)
            self._at += 1
            if mark == closing:
                return

    def _next(self) -> str:
        """The next character that is no space, which is not taken; "" at the end."""
        while True:
            while self._at < len(self._held):
                if self._held[self._at] not in _SPACE:
                    return self._held[self._at]
                self._at += 1
            if not self._more(_CHUNK):
                return ""

    def _value(self) -> Any:
        """The next value, whole. While its text is not, more is read: twice as much each time."""
        self._next()
        size, before = _CHUNK, (-1, "")
        while True:
            try:
                value, end = DECODER.raw_decode(self._held, self._at)
                if end + len(".e+") <= len(self._held) or self._ended:  # else a number could go on
                    self._at = end
                    return value
            except json.JSONDecodeError as error:
                # An error that more text does not move is none of a text that is not whole.
                now = (error.pos - self._at, error.msg)
                moved = now != before or error.msg.startswith("Unterminated string")
                if self._ended or not moved:
                    self._broken(error.msg, error.pos)
                before = now
            except RecursionError:
                self._broken("nested too deeply", self._at)
            self._more(size)
            size *= 2

    def _more(self, size: int) -> bool:
        """Let go of what was taken, and read on; False at the end of the file."""
        gone, self._held = self._held[: self._at], self._held[self._at :]
        self._at = 0
        self._line, self._column = _moved(self._line, self._column, gone)
        with told(self._path, f"{self._row}, line {self._line}"):
            more = self._text.read(size)
        self._held += more
        self._ended = self._ended or not more
        return bool(more)

    def _broken(self, what: str, at: int) -> NoReturn:
        line, column = _moved(self._line, self._column, self._held[:at])
        what = f"{what[0].lower()}{what[1:]}"
        if self._ended and (at >= len(self._held) or what.startswith("unterminated")):
            what = f"the file ends here ({what.removesuffix(' starting at')})"
        remedy = "mend the file there, or get it anew; nothing of it is used"
        if escaped_byte(self._held) is not None:
            remedy = "the file is not UTF-8: save it as UTF-8, and mend it there; nothing of it is used"
        raise UserError(
            f"{self._path} cannot be read to its end: broken at {self._row}, line {line}, "
            f"column {column}: {what}",
            remedy,
        )


def _moved(line: int, column: int, text: str) -> tuple[int, int]:
    """A place in a file after some more text."""
    lines = text.count("\n")
    return line + lines, len(text) - text.rfind("\n") if lines else column + len(text)
