"""What is given to readers by somebody who wishes them ill: valid content, changed, and broken bytes.

`BRANCHWISE_FUZZ=10000` asks for that many cases of each kind of input; without it there are some hundred.
"""

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

NUM_CASES = int(os.environ.get("BRANCHWISE_FUZZ") or 100)
"""Cases of a kind of input: its tests share them."""

SLOWEST_S = 20
"""What takes longer hangs, as far as a reader of a file of some kilobytes is concerned."""

MEGABYTE = 2**20


def cases(share: float) -> Callable[[Any], Any]:
    """Settings of a test that has this share of its kind's cases."""
    return settings(
        max_examples=max(3, round(NUM_CASES * share)),
        database=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


@contextmanager
def in_time() -> Iterator[None]:
    """Raises AssertionError where the block computes without end. It is the process's own time that counts:
    a busy machine is no hang.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise AssertionError(f"not done after {SLOWEST_S} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SLOWEST_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def nested(depth: int, inner: Any = 1, key: str | None = None) -> Any:
    """A value in so many lists, or mappings of one key."""
    for _ in range(depth):
        inner = [inner] if key is None else {key: inner}
    return inner


WORDS = (
    *("", " ", "\n", "\t\t", "\0", "a\0b", "\x1b[31m", "\ufeff", "\u2028", "\u202eevil", "e\u0301\u0301"),
    *("\ud800", "\udce9x", "x\udfff", "🏳️\u200d🌈", "𝟙𝟚", "١٢", "Ⅷ", "½", "İ", "ß", "ﬁ", "𐀀"),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "~",
        "~nobody_here/x",
        "..",
        ".",
        "C:\\x",
        "a/b",
        "{x}",
        "{",
        "%s%n",
    ),
    *(
        "<script>alert(1)</script>",
        "]]>",
        "null",
        "NaN",
        "true",
        "yes",
        "no",
        "0x10",
        "1e999",
        "-1",
        "1_0",
    ),
    *(
        "2001-99-99",
        "=1+1",
        "*",
        "&a",
        "!!python/object:os.system",
        "$(id)",
        "`id`",
        "a" * 300,
        "é" * 9000,
    ),
    *("A", "<answer>", "</answer>", "[1]", "(list)", "(list (description", '"', "'", "\\", "\\ud800"),
)
NUMBERS = (
    *(0, -1, 1, 7, 255, 2**31, 2**63, -(2**63) - 1, 2**200, 10**4000, 0.0, -0.0, 0.5, 1e-320, 1e308),
    *(float("inf"), float("-inf"), float("nan")),
)
SHAPES = (
    *(None, True, False, [], {}, [None], [[]], {"": None}, {"a": 1, "A": 2}, {"id": {"id": "id"}}),
    *([1, "a", None, {}], [["a", "b"], ["b", "a"]], ["a"] * 500, nested(40), nested(40, key="a")),
)
DEEP = (nested(1500), nested(1500, key="a"), nested(200_000 // 4))
"""Deeper than the interpreter's stack, which is where recursive readers fall."""

scalars = st.one_of(st.sampled_from(WORDS), st.sampled_from(NUMBERS), st.text(max_size=20))
# What is drawn is changed further: the next case must not find it so.
hostile = st.one_of(scalars, st.sampled_from(SHAPES).map(deepcopy), st.integers(), st.floats())
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=40), st.text(st.characters(), max_size=8))


def places(value: Any, at: tuple = ()) -> Iterator[tuple]:
    """The path of every value within a value, the whole first."""
    yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*at, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from places(inner, (*at, number))


def _at(value: Any, path: tuple) -> Any:
    for part in path:
        value = value[part]
    return value


@st.composite
def changed(draw: st.DrawFn, value: Any, most: int = 3, least: int = 1) -> Any:
    """A value with some of its places changed: gone, of another type, renamed, doubled, nested, mixed up."""
    value = deepcopy(value)
    for _ in range(draw(st.integers(least, most))):
        value = _once(draw, value)
    return value


def _once(draw: st.DrawFn, value: Any) -> Any:
    all_places = list(places(value))
    path = draw(st.sampled_from(all_places))
    if not path:
        # The whole is changed as often as any one of its parts.
        return draw(hostile)
    holder, key = _at(value, path[:-1]), path[-1]
    inner = holder[key]
    how = draw(
        st.sampled_from(("set", "set", "set", "edit", "edit", "drop", "wrap", "rename", "swap", "more"))
    )
    if how == "drop":
        del holder[key]
    elif how == "wrap":
        holder[key] = draw(
            st.sampled_from(([inner], {"a": inner}, [inner, deepcopy(inner)], {str(key)[:50]: inner}))
        )
    elif how == "rename" and isinstance(holder, dict):
        holder[draw(texts)] = holder.pop(key)
    elif how == "swap":
        holder[key] = deepcopy(_at(value, draw(st.sampled_from(all_places))))
    elif how == "more" and isinstance(holder, list):
        holder.insert(key, deepcopy(inner) if draw(st.booleans()) else draw(hostile))
    elif how == "more":
        holder[draw(texts)] = draw(hostile)
    elif how == "edit" and isinstance(inner, str):
        holder[key] = _edited(draw, inner)
    elif how == "edit" and isinstance(inner, int | float):
        holder[key] = draw(
            st.sampled_from(
                (
                    -inner,
                    f"{inner:.0f}" if abs(inner) < 1e15 else "1",
                    inner / 2 if abs(inner) < 1e15 else 0.5,
                    [inner],
                )
            )
        )
    else:
        holder[key] = draw(hostile)
    return value


def _edited(draw: st.DrawFn, text: str) -> str:
    """A text with something put in, or taken out."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 5)))
    return text[:start] + draw(texts) + text[end:]


PIECES = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b'"',
        b"'",
        b"\\",
        b"\n",
    ),
    *(
        b"\r",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"- ",
        b"# ",
        b"|",
        b">",
        b"*a ",
        b"&a ",
        b"!!binary ",
        b"? ",
    ),
    *(
        b"NaN",
        b"Infinity",
        b"1e99999",
        b"9" * 5000,
        b"0x" + b"f" * 5000,
        b"-",
        b"tru",
        b"\\ud800",
        b"\\u0000",
    ),
    *(
        b"[" * 20_000,
        b'{"a":' * 20_000,
        b"  " * 5000,
        b"'''",
        b"%YAML 9.9\n",
        b"---\n",
        b"...\n",
        b"<<: ",
        b"\x1a",
    ),
    *(
        b"!!python/object/apply:os.system [id]",
        b"!!timestamp 2001-99-99",
        b"2001-02-30",
        b"!!int a",
        b"!!set {a}",
    ),
)
"""What breaks JSON and YAML, and what they read otherwise than one thinks."""


@st.composite
def broken(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes of a file, some of them gone, changed or put in, cut off, recoded, or none of them."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(content)))
        how = draw(st.sampled_from(("put", "put", "cut", "flip", "drop", "twice", "line")))
        if how == "put":
            piece = draw(st.sampled_from(PIECES))
            content = content[:start] + piece + content[start + draw(st.integers(0, 3)) :]
        elif how == "cut":
            content = content[:start]
        elif how == "flip" and start < len(content):
            content = content[:start] + bytes([draw(st.integers(0, 255))]) + content[start + 1 :]
        elif how == "drop":
            content = content[:start] + content[start + draw(st.integers(1, 40)) :]
        elif how == "twice":
            size = draw(st.integers(1, 60))
            content = content[: start + size] + content[start:]
        else:
            lines = content.split(b"\n")
            line = draw(st.integers(0, len(lines) - 1))
            content = b"\n".join(
                [*lines[:line], *draw(st.permutations(lines[line : line + 3])), *lines[line:]]
            )
    return draw(st.sampled_from((_same, _same, _same, _same, _utf16, _bom, gzip.compress, _half_gzip)))(
        content
    )


def _same(content: bytes) -> bytes:
    return content


def _utf16(content: bytes) -> bytes:
    return content.decode("utf-8", "replace").encode("utf-16")


def _bom(content: bytes) -> bytes:
    return b"\xef\xbb\xbf" + content


def _half_gzip(content: bytes) -> bytes:
    packed = gzip.compress(content)
    return packed[: 2 * len(packed) // 3]


def dumped(value: Any, ascii_only: bool = True) -> bytes:
    """A value as JSON, with what JSON lacks (NaN, halves of surrogate pairs) as Python writes it; one that
    is nested beyond the stack by hand.
    """
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
