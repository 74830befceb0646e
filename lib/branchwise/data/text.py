"""Data files as text: what a file is told by its first bytes, not by its name.

Compression by gzip and the encodings that JSON may have (UTF-8, UTF-16 and UTF-32, with a byte-order mark
or without) are read. In UTF-8, a byte that is none becomes a lone surrogate, so that the text that holds
it is refused where it is used, and everything else is read.
"""

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from branchwise.errors import UserError

_GZIP = b"\x1f\x8b"
_OTHERS = {
    b"PK\x03\x04": "a zip archive: unpack it",
    b"BZh": "compressed by bzip2: unpack it",
    b"\xfd7zXZ\x00": "compressed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"PAR1": "a parquet file: give the folder that it lies in as `hub:`",
    b"ARROW1": "an arrow file: write its rows as JSON lines",
}
"""What a file begins with that holds no JSON as it is."""


@contextmanager
def opened_text(path: Path) -> Iterator[TextIO]:
    """A data file as text, lines ended by line feeds alone; what is read of it may raise UserError.

    Raises UserError where the file is missing, empty or of a kind that is not read, where its compressed
    form is cut off or broken, and where it is not in its encoding.
    """
    if path.is_dir():
        raise UserError(f"data file {path} is a folder", "give the file in it")
    if not path.is_file():
        raise UserError(f"data file {path} does not exist", "check the path")
    with path.open("rb") as raw:
        start = raw.read(8)
        raw.seek(0)
        for magic, what in _OTHERS.items():
            if start.startswith(magic):
                raise UserError(f"{path} is {what.partition(':')[0]}", what.partition(": ")[2])
        packed = start.startswith(_GZIP)
        file = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
        with told(path):
            encoding = json.detect_encoding(file.peek(4)[:4])
            errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
            yield io.TextIOWrapper(file, encoding, errors, newline="\n")


BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError)
"""What is raised where a file cannot be read to its end."""


@contextmanager
def told(path: Path, place: str = "") -> Iterator[None]:
    """Errors of reading a file as UserErrors that name it, and the place that was come to."""
    at = f" at {place}" if place else ""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(
            f"{path} cannot be read to its end: the compressed file is cut off or broken{at} ({error})",
            "get the file anew; nothing of it is used",
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} cannot be read to its end: it is not {error.encoding}{at} ({error.reason})",
            "save it as UTF-8",
        ) from error


def escaped_byte(text: str) -> int | None:
    """The index of the first byte that was not UTF-8, or of half a surrogate pair, in a text that was
    read here; None where there is neither.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return error.start
    return None


def not_unicode(text: str) -> str:
    """What is wrong with a text that is not Unicode, and near what."""
    at = escaped_byte(text)
    assert at is not None
    code = ord(text[at])
    near = "".join(_shown(char) for char in text[max(0, at - 20) : at + 20])
    what = "half a surrogate pair"
    if 0xDC80 <= code <= 0xDCFF:
        what = f"byte 0x{code - 0xDC00:02x} is not UTF-8"
    return f"{what}, in '{near}'"


def _shown(char: str) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}" if 0xD800 <= code <= 0xDFFF else char
