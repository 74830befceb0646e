"""A model says a question in other words: what it is shown, and which of its words can be kept."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, TypeAdapter

from branchwise.data.types import LETTERS, Question
from branchwise.evaluation.metrics.squad import stands_in, tokens
from branchwise.prompts import Message, assistant
from branchwise.prompts.rendering import user
from branchwise.records import Record

BEGUN = "Paraphrase:"
"""What a prompt ends in. No blank: a vocabulary's words begin with theirs."""
_ASKED = "Question:"
_INSTRUCTION = "Say each question in other words. Its meaning, and its answer, stay the same."

Reason = Literal["empty", "copy_of_question", "copy_of_demonstration", "duplicate", "answer_changed"]
"""Why a text is no paraphrase that can be kept."""


class Demonstration(Record):
    """A question with other wordings of it, one a round."""

    question: str
    paraphrases: tuple[str, ...] = Field(min_length=5, max_length=5)


@cache
def demonstrations() -> tuple[Demonstration, ...]:
    """The solved questions that are shown."""
    path = Path(__file__).with_name("demonstrations.yaml")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return TypeAdapter(tuple[Demonstration, ...]).validate_python(content)


def shown(round_: int) -> list[Message]:
    """What all prompts of a round begin with. Rounds after the fifth show the first ones' again."""
    messages = [Message(role="system", content=_INSTRUCTION)]
    for one in demonstrations():
        said = one.paraphrases[round_ % len(one.paraphrases)]
        messages += [user(f"{_ASKED} {one.question}"), assistant(f"{BEGUN} {said}")]
    return messages


def asked(text: str) -> Message:
    """The turn of whoever wants another wording of a question; the model's turn begins with BEGUN."""
    return user(f"{_ASKED} {' '.join(text.split())}")


def paraphrase_in(reply: str) -> str:
    """The first line of a reply that holds anything, without the label that the prompt ends in."""
    line = next((line.strip() for line in reply.splitlines() if line.strip()), "")
    return line.removeprefix(BEGUN).strip()


def problem_of(text: str, question: Question, kept: Iterable[str], language: str) -> Reason | None:
    """Why a text is not kept as a paraphrase of `question` beside those that were `kept`; None where it
    is. Texts are compared by their normalised words in the language of the data set.
    """
    words, own = tokens(text, language), tokens(question.text, language)
    if not words:
        return "empty"
    if words == own:
        return "copy_of_question"
    if words in _demonstrated(language):
        return "copy_of_demonstration"
    if words in [tokens(one, language) for one in kept]:
        return "duplicate"
    answers = [tokens(answer, language) for answer in accepted(question)]
    if any(stands_in(answer, words) != stands_in(answer, own) for answer in answers):
        return "answer_changed"
    return None


def accepted(question: Question) -> Sequence[str]:
    """All answers that are right, in words: of a choice the options that its letters stand for."""
    if question.answer != "choice":
        return (*question.golds, *(span for spans in question.gold_spans for span in spans))
    by_letter = dict(zip(LETTERS, question.options, strict=False))
    return [by_letter[sign] for gold in question.golds for sign in gold if sign in by_letter]


@cache
def _demonstrated(language: str) -> list[list[str]]:
    """The words of everything that is shown."""
    texts = (text for one in demonstrations() for text in (one.question, *one.paraphrases))
    return [tokens(text, language) for text in texts]
