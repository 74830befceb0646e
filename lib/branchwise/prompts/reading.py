"""Answers read back from what a model said.

`answer` is taken tolerantly (a missing tag does not make an answer wrong), `well_formed` is strict
(the reply is exactly what the format rule asked for). The two never mix: exact match is computed on
`answer`, the share of well-formed replies is a column of its own.
"""

import re
from typing import NamedTuple

from branchwise.data.types import LETTERS, Question
from branchwise.prompts.rendering import AnswerFormat

_THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NUMBERED = re.compile(r"^\s*(?:Q(?:uestion)?\s*)?(\d+)\s*[.:)]\s*(.*)$")


class Reading(NamedTuple):
    """What was read: the answer (empty where there is none) and whether it was well formed."""

    answer: str
    well_formed: bool


def read_one(text: str, question: Question, answer_format: AnswerFormat) -> Reading:
    """The answer to one question from a reply that holds nothing else."""
    text = _THINKING.sub("", text).strip()
    tag = _TAG.search(text)
    inside = tag.group(1).strip() if tag else text
    if answer_format == "tag":
        formed = tag is not None and _TAG.fullmatch(text) is not None
    else:
        formed = tag is None and "\n" not in text
    if question.answer == "choice":
        return _read_choice(inside, question, formed)
    return Reading(inside, formed and bool(inside))


def _read_choice(text: str, question: Question, formed: bool) -> Reading:
    """The letters of the chosen options, in order ("A", or "AC" where several are right).

    A letter counts only where it stands for an option: alone, or before a dot or bracket. The words
    of one option count as its letter. "The man" is not E, and "A man" is not A.
    """
    allowed = LETTERS[: len(question.options)] or LETTERS
    bare = re.fullmatch(rf"([{allowed}](?:[\s,]*[{allowed}])*)", text)
    if bare:
        return Reading("".join(sorted(set(re.findall(rf"[{allowed}]", text)))), formed)
    marked = re.findall(rf"(?<!\w)\(?([{allowed}])(?:[.):](?=\s|$)|(?=\s*$))", text)
    if marked:
        return Reading("".join(sorted(set(marked))), False)
    for letter, option in zip(LETTERS, question.options, strict=False):
        if text.casefold().rstrip(".") == option.casefold().rstrip("."):
            return Reading(letter, False)
    return Reading("", False)


def read_many(text: str, questions: tuple[Question, ...], answer_format: AnswerFormat) -> list[Reading]:
    """The answers to all questions of a prompt, by their numbers; a missing one is empty.

    A line without a number goes on with the answer above it (options may be repeated there).
    """
    text = _THINKING.sub("", text).strip()
    parts: dict[int, list[str]] = {}
    current: int | None = None
    stray = False
    for line in text.splitlines():
        match = _NUMBERED.match(line)
        if match and 1 <= int(match.group(1)) <= len(questions) and int(match.group(1)) not in parts:
            current = int(match.group(1))
            parts[current] = [match.group(2)]
        elif current is not None:
            parts[current].append(line)
        elif line.strip():
            stray = True
    readings = []
    for number, question in enumerate(questions, start=1):
        reading = read_one("\n".join(parts.get(number, [])), question, answer_format)
        readings.append(reading._replace(well_formed=reading.well_formed and not stray))
    return readings
