"""A language model says which question needs which: what it is asked, and how its reply is read.

A reply is read tolerantly (thoughts, fences, single quotes, trailing commas, a cut-off end), but never
guessed at: items that are no edge are dropped and counted, and a reply that holds no JSON of a known
shape is refused, so that the caller can fall back and say so.
"""

import ast
import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import json_repair

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge
from branchwise.prompts import Message

ReplyShape = Literal["edges", "order"]

_SYSTEM = "You plan the order in which questions are answered. Reply with one JSON object only."
_ASKED: dict[ReplyShape, str] = {
    "edges": (
        "Which of these questions is easier once another one is answered? "
        'Reply {"edges": [{"Q3": "Q1"}]}, which says that Q3 needs the answer to Q1: the most '
        'important first, no circles, {"edges": []} if there is none.'
    ),
    "order": (
        "In which order should these questions be answered, each after what helps it? "
        'Reply {"order": ["Q1", "Q3", "Q2"]} with every question once.'
    ),
}

_QUOTED = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
_NUMBER = r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_PIECES = rf"(?:{_QUOTED}|{_NUMBER}|true|false|null|True|False|None|[\s{{}}\[\],:])*+"
"""All that JSON is made of, and the same in Python's way."""


class ReadEdges(NamedTuple):
    """A reply as read: edges (None where it was refused, with the reason), and items dropped."""

    edges: list[Edge] | None
    problem: str | None = None
    num_dropped: int = 0


def planning_messages(group: Group, shape: ReplyShape, sees_passage: bool) -> list[Message]:
    """What the model is asked. Questions are Q1, Q2, ... in the group's order, whatever their ids."""
    questions = "\n".join(f"Q{number}: {question.text}" for number, question in enumerate(group, 1))
    passage = f"{group.context}\n\n" if sees_passage and group.context else ""
    return [
        Message(role="system", content=_SYSTEM),
        Message(role="user", content=f"{passage}{questions}\n\n{_ASKED[shape]}"),
    ]


def reply_pattern(num_questions: int, shape: ReplyShape) -> str:
    """A regular expression of well-formed replies: what constrained decoding holds the model to. (That
    an order names no question twice is beyond it; such a reply is refused when it is read.)
    """
    name = f'"Q(?:{"|".join(str(n) for n in range(1, num_questions + 1))})"'
    if shape == "order":
        return rf'\{{"order": \[{name}(?:, {name}){{{num_questions - 1}}}\]\}}'
    item = rf"\{{{name}: {name}\}}"
    return rf'\{{"edges": \[(?:{item}(?:, {item}){{0,{2 * num_questions - 1}}})?\]\}}'


def read_edges(text: str, ids: Sequence[str], shape: ReplyShape = "edges") -> ReadEdges:
    """The edges of a reply about questions `ids`, whose names in it are Q1, Q2, ...

    Taken are {"edges": [...]}, {"order": [...]}, a bare list of edges, and one object of edges; of
    several the last one of the shape that was asked for. An edge is {"Q3": "Q1"} (or a list of several
    that Q3 needs), {"source": "Q1", "target": "Q3"}, or the list ["Q3", "Q1"]. Confidence falls with the
    rank from 1 to 0.5. Thoughts are not read.
    """
    text = re.sub(r"\A.*</think>", "", text, flags=re.DOTALL)
    if "<think>" in text:
        return ReadEdges(None, "cut off in its thoughts")
    fenced = re.search(r"```[a-zA-Z]*\s*(.*?)(?:```|\Z)", text, re.DOTALL)
    try:
        values, is_broken = _values(fenced.group(1) if fenced else text)
        content = _chosen(values, shape)
        if content is None:
            return ReadEdges(None, "broken JSON" if is_broken else "no JSON")
        return _read(content, ids)
    except (TypeError, ValueError, RecursionError, MemoryError):
        return ReadEdges(None, "JSON of no known form")


def _chosen(values: list[Any], shape: ReplyShape) -> Any:
    """The value that is the answer: the last that says `shape`, else the other, else the last at all."""
    for key in (shape, "order" if shape == "edges" else "edges"):
        named = [value for value in values if isinstance(value, dict) and key in value]
        if named:
            return {key: named[-1][key]}
    return values[-1] if values else None


def _read(content: Any, ids: Sequence[str]) -> ReadEdges:
    """The edges of one JSON value."""
    if isinstance(content, dict) and isinstance(content.get("order"), list):
        return _chain(content["order"], ids)
    if isinstance(content, dict) and "edges" in content:
        content = content["edges"]
    elif isinstance(content, dict):
        content = [{key: value} for key, value in content.items()]
    if not isinstance(content, list):
        return ReadEdges(None, "no list of edges")
    pairs: list[tuple[str, str]] = []
    dropped = 0
    for item in content:
        found = _pairs(item, ids)
        dropped += not found
        pairs += [pair for pair in found if pair not in pairs]
    if content and not pairs:
        return ReadEdges(None, f"none of {len(content)} items is an edge between two questions")
    edges = [
        Edge(source=a, target=b, confidence=1 - 0.5 * rank / len(pairs), why="said by the model")
        for rank, (a, b) in enumerate(pairs)
    ]
    return ReadEdges(edges, None, dropped)


def _chain(order: list[Any], ids: Sequence[str]) -> ReadEdges:
    """An order as edges: each question needs the one before it. Refused unless all are in it once."""
    names = [_name(item, ids) for item in order]
    if sorted(filter(None, names)) != sorted(ids) or len(names) != len(ids):
        return ReadEdges(None, "the order does not hold every question once")
    pairs = pairwise(names)
    return ReadEdges([Edge(source=a, target=b, why="order of the model") for a, b in pairs])


def _pairs(item: Any, ids: Sequence[str]) -> list[tuple[str, str]]:
    """(source, target) of one item; [] where it is no edge between two different questions."""
    if isinstance(item, dict) and {"source", "target"} <= set(item):
        found = [(item["source"], item["target"])]
    elif isinstance(item, dict) and len(item) == 1:
        ((target, sources),) = item.items()
        found = [(source, target) for source in (sources if isinstance(sources, list) else [sources])]
    elif isinstance(item, list) and len(item) == 2:
        found = [(item[1], item[0])]
    else:
        return []
    named = ((_name(source, ids), _name(target, ids)) for source, target in found)
    return [(a, b) for a, b in named if a is not None and b is not None and a != b]


def _name(value: Any, ids: Sequence[str]) -> str | None:
    """The id of a question that a reply calls Q3, q3 or 3, by its place in the prompt, or by its id;
    None where there is none.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    number = re.fullmatch(r"\s*(?:[Qq](?:uestion)?)?\s*(\d{1,6})\s*", str(value)[:40])
    if number is None:
        return value if isinstance(value, str) and value in ids else None
    return ids[int(number.group(1)) - 1] if 1 <= int(number.group(1)) <= len(ids) else None


def _values(text: str) -> tuple[list[Any], bool]:
    """Every object and list of a text that parses, mended where that takes no guessing; and whether
    some part of it looked like one and could not be read. What stands inside of that is not looked at.
    """
    values: list[Any] = []
    is_broken = False
    at = 0
    while match := re.compile(r"[{\[]").search(text, at):
        start = match.start()
        try:
            value, at = json.JSONDecoder().raw_decode(text, start)
        except json.JSONDecodeError:
            end, at = _extent(text, start)
            value = _mended(text[start:end])
        if value is None:
            is_broken = True
        elif isinstance(value, dict | list):
            values.append(value)
    return values, is_broken


def _extent(text: str, start: int) -> tuple[int, int]:
    """Where the value that a bracket begins ends, and where to read on. One that is never closed ends
    after its last whole item: a word that was cut off may be any other.
    """
    depth, end = 0, start
    for piece in re.compile(rf"{_QUOTED}|[{{}}\[\]]", re.DOTALL).finditer(text, start):
        if piece[0] in "{[":
            depth += 1
        elif piece[0] in "}]":
            depth, end = depth - 1, piece.end()
            if depth == 0:
                return end, end
    return end, len(text)


def _mended(text: str) -> Any:
    """A value with Python's quotes, and commas or closing brackets too many or too few; None where more
    than that is wrong. Words are never mended: json_repair also reads prose, dots and bare names, and
    now and then drops a word or makes one of two.
    """
    if not re.fullmatch(_PIECES, text, re.DOTALL):
        return None
    try:
        value = json_repair.loads(text, skip_json_loads=True, strict=True)
        said = [ast.literal_eval(piece[0]) for piece in re.finditer(_QUOTED, text, re.DOTALL)]
    except (ValueError, SyntaxError):
        return None
    return value if list(_words(value)) == said else None


def _words(value: Any) -> Iterator[str]:
    """All strings of a JSON value, keys among them, as they stand in it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _words(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _words(item)
