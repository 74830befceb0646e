"""Replies in JSON: whether they are the form asked for, and what those say that were cut off."""

import json
import re
from collections.abc import Set
from typing import Any

_STRING = r'"((?:[^"\\]|\\.)*)'
_BEGUN = re.compile(rf'\{{\s*"answer"\s*:\s*{_STRING}(?:"\s*)?$', re.DOTALL)
_OBJECT = re.compile(
    rf'\{{\s*"id"\s*:\s*"?(\d{{1,3}})"?\s*,\s*"answer"\s*:\s*{_STRING}(?:"\s*\}}?|$)', re.DOTALL
)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _is_answer(value: Any, keys: Set[str]) -> bool:
    return isinstance(value, dict) and value.keys() == keys and isinstance(value["answer"], str)


def is_json_object(text: str) -> bool:
    """Whether a reply is `{"answer": "..."}` and nothing else."""
    return _is_answer(_loaded(text), {"answer"})


def is_json_list(text: str, num_questions: int) -> bool:
    """Whether a reply is `[{"id": 1, "answer": "..."}, ...]`, a whole one, and nothing else."""
    value = _loaded(text)
    if not isinstance(value, list) or not all(_is_answer(item, {"id", "answer"}) for item in value):
        return False
    return [item["id"] for item in value] == list(range(1, num_questions + 1))


def begun_answer(text: str) -> str:
    """The answer of an object that was never closed; empty where a reply is no such beginning."""
    match = _BEGUN.match(text.strip())
    return _unescaped(match.group(1)).strip() if match else ""


def some_answers(text: str, num_questions: int) -> dict[int, str]:
    """Answers by id in objects one after the other, the last perhaps cut off; of several with one id the
    first.
    """
    found: dict[int, str] = {}
    for match in _OBJECT.finditer(text.strip()):
        number, said = int(match.group(1)), _unescaped(match.group(2)).strip()
        if said and 1 <= number <= num_questions:
            found.setdefault(number, said)
    return found


def _unescaped(text: str) -> str:
    """What a JSON string says; as it stands where an escape in it was cut off."""
    try:
        return str(json.loads(f'"{text}"', strict=False))
    except ValueError:
        return text.rstrip("\\")
