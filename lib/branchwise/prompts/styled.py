"""Replies to a prompt of a style, read: what the prompt put before the answer is no part of it."""

from collections.abc import Sequence

from branchwise.data.types import Question
from branchwise.prompts.reading import Reading, read_many, read_one
from branchwise.prompts.style import PromptStyle, unlabelled


def reading_of(text: str, question: Question, style: PromptStyle) -> Reading:
    """The answer to one question from a whole reply, its pre-filled beginning included."""
    return read_one(unlabelled(style, text, many=False), question, style.answer_format)


def readings_of(text: str, questions: Sequence[Question], style: PromptStyle) -> list[Reading]:
    """The answers to all questions of a prompt, from the whole reply to it."""
    return read_many(unlabelled(style, text, many=True), questions, style.answer_format)
