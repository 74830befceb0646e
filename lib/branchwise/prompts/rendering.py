"""Messages for every strategy, from one set of words.

A data set fixes the instruction, a prompt style the form of answers and the solved questions (shots) that
are shown; a strategy only decides which questions share a prompt, and shows the shots in its own form.
Shots come first, then the context at the beginning of a user turn, so that all prompts of a run start
with the same tokens, and those of a group with more of them, which the tree decoder can share.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

from branchwise.data.style import AnswerFormat
from branchwise.data.types import LETTERS, Group, Question
from branchwise.prompts.style import PromptStyle, gold_of, reply


class Message(TypedDict):
    """One chat message, as chat templates take it."""

    role: Literal["system", "user", "assistant"]
    content: str


class FormatRule(NamedTuple):
    """How an answer is to be written, for a prompt with one question and for one with many; empty where
    nothing is said of it.
    """

    one: str
    many: str


FORMAT_RULES: dict[AnswerFormat, FormatRule] = {
    "line": FormatRule("Give only the answer.", "Give one numbered answer per line."),
    "tag": FormatRule(
        "Put the answer between <answer> and </answer>.",
        "Give one line per question: its number, then the answer between <answer> and </answer>.",
    ),
    "json": FormatRule(
        'Reply with a JSON object: {"answer": "..."}.',
        'Reply with a JSON list, one object per question in order: [{"id": 1, "answer": "..."}, ...].',
    ),
    "letter": FormatRule(
        "Give only the letter of the right option.",
        "Give one line per question: its number, then the letter of the right option.",
    ),
    "free": FormatRule("", ""),
}

Known = Sequence[tuple[Question, str]]
"""Earlier questions with their answers."""

_GAP = {False: " ", True: "\n"}


def _system(style: PromptStyle, many: bool) -> Message:
    rule = FORMAT_RULES[style.answer_format]
    said = rule.many if many else rule.one
    return Message(role="system", content=f"{style.instruction} {said}" if said else style.instruction)


def question_text(question: Question) -> str:
    """The question with its options, if any, as lettered lines."""
    options = (f"\n{letter}. {text}" for letter, text in zip(LETTERS, question.options, strict=False))
    return question.text + "".join(options)


def _passage(context: str | None, style: PromptStyle) -> str:
    """A passage as it stands in a prompt, newline included; empty where there is none."""
    if not context:
        return ""
    # In a conversation the turn says where it begins; in one text, a label has to.
    return f"{'Text: ' if style.form == 'completion' else ''}{context}\n"


def _context(group: Group, question: Question | None, style: PromptStyle) -> str:
    """The passage that a prompt starts with; empty where there is none."""
    own = question.context if question else None
    return _passage("\n".join(part for part in (group.context, own) if part), style)


def user(content: str) -> Message:
    """A turn of whoever asks."""
    return Message(role="user", content=content)


def assistant(text: str) -> Message:
    """What the model said."""
    return Message(role="assistant", content=text)


def turn(question: Question, style: PromptStyle | None = None) -> Message:
    """A further user turn of a conversation: the question alone."""
    passage = _passage(question.context, style or PromptStyle())
    return user(f"{passage}Question: {question_text(question)}")


def _alone(group: Group, question: Question, style: PromptStyle, known: Known = ()) -> Message:
    """A question on its own, under the passage and what is known."""
    # Under options an answer takes a line of its own: beside the last one it would read as part of it.
    lines = [f"{question_text(q)}{_GAP[bool(q.options)]}{answer}\n" for q, answer in known]
    earlier = "Known:\n" + "".join(lines) if lines else ""
    return user(f"{_context(group, question, style)}{earlier}Question: {question_text(question)}")


def single(
    group: Group, question: Question, style: PromptStyle, known: Known | None = None
) -> list[Message]:
    """A prompt for one question on its own; `known` are earlier questions with their answers.

    None for a strategy that never shows any: an empty list has the shots show what they know all the
    same, so that all prompts of a group with dependencies start alike.
    """
    shown = [
        message
        for group_shown in style.shots
        for question_shown in group_shown
        for message in _solved(group_shown, question_shown, style, known is not None)
    ]
    return [_system(style, many=False), *shown, _alone(group, question, style, known or ())]


def _solved(group: Group, question: Question, style: PromptStyle, with_known: bool) -> list[Message]:
    """A shot: a question with its answer, and what it needs before it."""
    by_id = {one.id: one for one in group}
    needed = [by_id[name] for name in question.needs] if with_known else []
    known = [(one, gold_of(one)) for one in needed]
    return [
        _alone(group, question, style, known),
        assistant(reply(style, [gold_of(question)], many=False)),
    ]


def first_turn(group: Group, question: Question, style: PromptStyle) -> list[Message]:
    """The beginning of a conversation about a group; `turn` goes on with it. Shots are conversations."""
    shown: list[Message] = []
    for solved in style.shots:
        for number, one in enumerate(solved):
            shown.append(turn(one, style) if number else _alone(solved, one, style))
            shown.append(assistant(reply(style, [gold_of(one)], many=False)))
    return [_system(style, many=False), *shown, _alone(group, question, style)]


def num_shown(messages: Sequence[Message], style: PromptStyle) -> int:
    """How many of a prompt's messages come before its own group: the system's, and those of the shots."""
    # Not by the system's message: a free answer's is the same for one question and for many.
    together = [_system(style, many=True), *_solved_together(style)]
    is_many = list(messages[: len(together)]) == together
    return len(together) if is_many else 1 + 2 * sum(map(len, style.shots))


def everything(group: Group, style: PromptStyle) -> list[Message]:
    """One prompt that asks all questions of the group at once; a shot is a whole group."""
    return [_system(style, many=True), *_solved_together(style), _all_of(group, style)]


def _solved_together(style: PromptStyle) -> list[Message]:
    """The shots, each a whole group with all of its answers."""
    shown: list[Message] = []
    for solved in style.shots:
        shown.append(_all_of(solved, style))
        shown.append(assistant(reply(style, [gold_of(question) for question in solved], many=True)))
    return shown


def _all_of(group: Group, style: PromptStyle) -> Message:
    lines = []
    for number, question in enumerate(group, start=1):
        own = _passage(question.context, style)
        lines.append(f"{own}{number}. {question_text(question)}")
    return user(f"{_context(group, None, style)}Questions:\n" + "\n".join(lines))
