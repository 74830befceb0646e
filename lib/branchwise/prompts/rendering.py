"""Messages for every strategy, from one set of words.

A data set fixes the instruction and the answer format; a strategy only decides which questions share
a prompt. The context comes first in the first user turn, so that the prompts of a group start with
the same tokens and the tree decoder can share them.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

from branchwise.data.style import AnswerFormat, PromptStyle
from branchwise.data.types import LETTERS, Group, Question


class Message(TypedDict):
    """One chat message, as chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


class FormatRule(NamedTuple):
    """How an answer is to be written, for a prompt with one question and for one with many."""

    one: str
    many: str


FORMAT_RULES: dict[AnswerFormat, FormatRule] = {
    "line": FormatRule("Give only the answer.", "Give one numbered answer per line."),
    "tag": FormatRule(
        "Put the answer between <answer> and </answer>.",
        "Give one line per question: its number, then the answer between <answer> and </answer>.",
    ),
}


_GAP = {False: " ", True: "\n"}


def _system(style: PromptStyle, many: bool) -> Message:
    rule = FORMAT_RULES[style.answer_format]
    return Message(role="system", content=f"{style.instruction} {rule.many if many else rule.one}")


def _asked(question: Question) -> str:
    """The question with its options, if any, as lettered lines."""
    options = (f"\n{letter}. {text}" for letter, text in zip(LETTERS, question.options, strict=False))
    return question.text + "".join(options)


def _context(group: Group, question: Question | None) -> str:
    """The passage that a prompt starts with, newline included; empty where there is none."""
    own = question.context if question else None
    context = "\n".join(part for part in (group.context, own) if part)
    return f"{context}\n" if context else ""


def turn(question: Question) -> Message:
    """A further user turn of a conversation: the question alone."""
    own = f"{question.context}\n" if question.context else ""
    return Message(role="user", content=f"{own}Question: {_asked(question)}")


def assistant(text: str) -> Message:
    """What the model said."""
    return Message(role="assistant", content=text)


def single(
    group: Group,
    question: Question,
    style: PromptStyle,
    known: Sequence[tuple[Question, str]] = (),
) -> list[Message]:
    """A prompt for one question on its own; `known` are earlier questions with their answers."""
    # Under options an answer takes a line of its own: beside the last one it would read as part of it.
    lines = [f"{_asked(q)}{_GAP[bool(q.options)]}{answer}\n" for q, answer in known]
    earlier = "Known:\n" + "".join(lines) if lines else ""
    content = f"{_context(group, question)}{earlier}Question: {_asked(question)}"
    return [_system(style, many=False), Message(role="user", content=content)]


def everything(group: Group, style: PromptStyle) -> list[Message]:
    """One prompt that asks all questions of the group at once."""
    lines = []
    for number, question in enumerate(group, start=1):
        own = f"{question.context}\n" if question.context else ""
        lines.append(f"{own}{number}. {_asked(question)}")
    content = f"{_context(group, None)}Questions:\n" + "\n".join(lines)
    return [_system(style, many=True), Message(role="user", content=content)]


def numbered(answers: Sequence[str]) -> str:
    """A right reply to `everything` in the `line` format (training writes it, the reader reads it)."""
    return "\n".join(f"{number}. {answer}" for number, answer in enumerate(answers, start=1))
