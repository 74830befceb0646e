"""Text of data and models as a terminal may show it: it moves no cursor and turns no line around."""

import re
import unicodedata

from rich.cells import cell_len
from rich.text import Text

_SPACES = re.compile(r"[^\S\n]+")
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that set the direction of what stands around them, also of what is not theirs."""


def on_a_line(text: str, breaks: str = " ") -> str:
    """A text on one line: runs of white space are a space, line breaks are `breaks`; control characters,
    marks of direction and halves of characters are written as their escapes.
    """
    lines = (_SPACES.sub(" ", line).strip() for line in text.strip().splitlines())
    return "".join(map(_visible, breaks.join(lines)))


def _visible(char: str) -> str:
    if char in _BIDI or unicodedata.category(char) in ("Cc", "Cs"):
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return char


def cut(text: str, width: int) -> str:
    """A text of one line, its end cut off where it is wider than so many columns of a terminal."""
    if cell_len(text) <= width:
        return text
    shown = Text(text)
    shown.truncate(width, overflow="ellipsis")
    return shown.plain
