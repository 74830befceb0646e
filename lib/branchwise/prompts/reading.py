"""Answers read back from what a model said.

`answer` is taken tolerantly (a missing tag does not make an answer wrong), `well_formed` is strict
(the reply is exactly what the format rule asked for). The two never mix: exact match is computed on
`answer`, the share of well-formed replies is a column of its own.
"""

import re
from typing import NamedTuple

from branchwise.data.letters import letters_in
from branchwise.data.style import AnswerFormat
from branchwise.data.types import LETTERS, Question

_THINKING = re.compile(r"<think>.*?(</think>|\Z)", re.DOTALL)
_TAG = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])")
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
    if question.answer == "number":
        return _read_number(inside, formed)
    if question.answer == "text":
        # Free text may take several lines; only the tags are a question of form.
        return Reading(inside, bool(inside) and (formed if answer_format == "tag" else tag is None))
    return Reading(inside, formed and bool(inside))


def _read_choice(text: str, question: Question, formed: bool) -> Reading:
    """The letters of the chosen options, in order ("A", or "AC" where several are right).

    Well formed are letters alone, and the words of one option with its letter in brackets. The words of
    one option without it count as its letter.
    """
    num_options = len(question.options) or len(LETTERS)
    letters = letters_in(text, num_options)
    if letters:
        allowed = LETTERS[:num_options]
        bare = re.fullmatch(rf"[{allowed}](?:[\s,]*[{allowed}])*", text) is not None
        named = zip(LETTERS, question.options, strict=False)
        return Reading(letters, formed and (bare or text in {f"{o} ({name})" for name, o in named}))
    for letter, option in zip(LETTERS, question.options, strict=False):
        if text.casefold().rstrip(".") == option.casefold().rstrip("."):
            return Reading(letter, False)
    return Reading("", False)


def _read_number(text: str, formed: bool) -> Reading:
    """The number of a reply that holds exactly one; well formed where it holds nothing else."""
    numbers = _NUMBER.findall(text)
    if len(numbers) != 1:
        return Reading(text, False)
    return Reading(numbers[0], formed and text == numbers[0])


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
