"""A language model says which question needs which: what it is asked, and how its reply is read.

A reply is read tolerantly (thoughts, fences, single quotes, trailing commas, a cut-off end), but never
guessed at: items that are no edge are dropped and counted, and a reply that holds no JSON of a known
shape is refused, so that the caller can fall back and say so.
"""

import ast
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

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


def read_edges(text: str, ids: Sequence[str]) -> ReadEdges:
    """The edges of a reply about questions `ids`, whose names in it are Q1, Q2, ...

    Taken are {"edges": [...]}, {"order": [...]}, a bare list of edges, and one object of edges. An edge
    is {"Q3": "Q1"} (or a list of several that Q3 needs), {"source": "Q1", "target": "Q3"}, or the list
    ["Q3", "Q1"]. Confidence falls with the rank from 1 to 0.5.
    """
    text = re.sub(r"<think>.*?</think>", "", text, flags=re.DOTALL)
    if "<think>" in text:
        return ReadEdges(None, "cut off in its thoughts")
    fenced = re.search(r"```[a-zA-Z]*\s*(.*?)(?:```|\Z)", text, re.DOTALL)
    content = _parsed(fenced.group(1) if fenced else text)
    if content is None:
        return ReadEdges(None, "no JSON")
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
        Edge(
            source=source, target=target, confidence=1 - 0.5 * rank / len(pairs), why="said by the model"
        )
        for rank, (source, target) in enumerate(pairs)
    ]
    return ReadEdges(edges, None, dropped)


def _chain(order: list[Any], ids: Sequence[str]) -> ReadEdges:
    """An order as edges: each question needs the one before it. Refused unless all are in it once."""
    names = [_name(item, ids) for item in order]
    if sorted(filter(None, names)) != sorted(ids) or len(names) != len(ids):
        return ReadEdges(None, "the order does not hold every question once")
    pairs = pairwise(names)
    return ReadEdges([Edge(source=a, target=b, why="order of the model") for a, b in pairs])  # type: ignore[arg-type]


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
    """The id of a question that a reply calls Q3, q3, 3 or by its id; None where there is none."""
    if isinstance(value, str) and value in ids:
        return value
    number = re.fullmatch(r"\s*[Qq]?(?:uestion)?\s*(\d+)\s*", str(value))
    if isinstance(value, bool) or number is None or not 1 <= int(number.group(1)) <= len(ids):
        return None
    return ids[int(number.group(1)) - 1]


def _parsed(text: str) -> Any:
    """The first JSON value of a text that parses, mended where that takes no guessing; else None."""
    for start in (match.start() for match in re.finditer(r"[{\[]", text)):
        try:
            return json.JSONDecoder().raw_decode(text, start)[0]
        except json.JSONDecodeError:
            mended = _mended(text[start:])
            if mended is not None:
                return mended
    return None


def _mended(text: str) -> Any:
    """A value with Python's quotes or trailing commas, or cut off after a whole item; else None."""
    closed = _balanced(text)
    if closed is None:
        return None
    for candidate in (closed, re.sub(r",\s*([}\]])", r"\1", closed)):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            try:
                return ast.literal_eval(candidate)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
    return None


def _balanced(text: str) -> str | None:
    """The text up to where its first bracket closes; where it never does, up to the last whole item,
    with the open brackets closed.
    """
    stack: list[str] = []
    quote = ""
    last_item: tuple[int, list[str]] | None = None
    for place, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char in "{[":
            stack.append("}" if char == "{" else "]")
        elif char in "}]":
            if not stack or stack.pop() != char:
                return None
            if not stack:
                return text[: place + 1]
            last_item = (place + 1, list(stack))
    if last_item is None:
        return None
    end, still_open = last_item
    return text[:end] + "".join(reversed(still_open))
