"""The forms that answers can be held to, as patterns: what may follow a prompt, in Rust's regex syntax.

Torch-free, since the config reads it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, cast

from llguidance import LLMatcher, LLTokenizer

from branchwise.data.types import LETTERS, Question
from branchwise.errors import UserError

Constrain = Literal["choice", "json", "regex"]

_SIGN = r'[^"\\\x00-\x1f\x7f]'
"""What stands in a JSON string as it is: no quote, no backslash, and no control sign, a newline least."""
JSON_TEXT = rf'(?:[^"\\\s\x00-\x1f\x7f]|\\["\\/])(?:{_SIGN}|\\["\\/])*'
"""The inside of a JSON string of one line, which begins with no space and is not empty."""


@dataclass(frozen=True)
class Form:
    """What a decoder holds the answers to questions to.

    choice: a letter of the question's options (with `several`, or more of them: "A, C"), in the answer
    format of the prompt style. json: `{"answer": "..."}`; of n questions in one prompt a list of n
    objects in order, `[{"id": 1, "answer": "..."}, ...]`. regex: `pattern`, the whole of what is said.
    """

    constrain: Constrain
    pattern: str | None = None
    several: bool = False

    def after(self, begun: str, questions: Sequence[Question], answer_format: str) -> str:
        """The pattern of what may follow a prompt; see `pattern_of`."""
        return pattern_of(self.constrain, questions, answer_format, begun, self.pattern, self.several)


def pattern_of(
    constrain: Constrain,
    questions: Sequence[Question],
    answer_format: str,
    begun: str = "",
    pattern: str | None = None,
    several: bool = False,
) -> str:
    """The pattern of what may follow a prompt that asks `questions`, if its answer begins with `begun`.

    Of a beginning that is part of the form (`{"answer": "`) only the rest is to come, spaces apart;
    behind another (`Answer:`) the whole form is. A `pattern` of the user's is of what the model says,
    whatever stands before.

    Raises UserError for a choice without options.
    """
    if constrain == "regex":
        assert pattern, "the entry of the decoder sees to it"
        return pattern
    first, *rest = _parts(constrain, questions, answer_format, several)
    left = _left(first, begun) if begun else None
    # The model may set a space before a form, as most tokenizers have it in the first word.
    lead = _escaped(left) if left is not None else f" ?{_escaped(first)}"
    return lead + "".join(rest)


def _parts(
    constrain: Constrain, questions: Sequence[Question], answer_format: str, several: bool
) -> list[str]:
    """The literal text that a form begins with, then the patterns of all that follows."""
    values = [_value(constrain, question, several) for question in questions]
    if constrain == "json" or answer_format == "json":
        if len(values) == 1:
            return ['{"answer": "', values[0], _escaped('"}')]
        before = [f'{{"id": {number}, "answer": "' for number in range(1, len(values) + 1)]
        before = ["[" + before[0], *(_escaped('"}, ' + one) for one in before[1:])]
        return [*_in_turn(before, values), _escaped('"}]')]
    opens, closes = ("<answer>", "</answer>") if answer_format == "tag" else ("", "")
    if len(values) == 1:
        return [opens, values[0], _escaped(closes)]
    before = [f"{number}. {opens}" for number in range(1, len(values) + 1)]
    before = [before[0], *(_escaped(f"{closes}\n{one}") for one in before[1:])]
    return [*_in_turn(before, values), _escaped(closes)]


def _in_turn(before: Sequence[str], values: Sequence[str]) -> list[str]:
    return [part for pair in zip(before, values, strict=True) for part in pair]


def _value(constrain: Constrain, question: Question, several: bool) -> str:
    """The pattern of one answer within its form."""
    if constrain == "json":
        return JSON_TEXT
    letters = LETTERS[: len(question.options)]
    if not letters:
        raise UserError(
            f"question {question.id} has no options, but the decoder holds answers to a choice",
            "use a decoder without `constrain: choice` for it",
        )
    if not several:
        return f"[{letters}]"
    # In order and each once: by the first of them.
    orders = (first + "".join(f"(?:, {x})?" for x in letters[n:]) for n, first in enumerate(letters, 1))
    return f"(?:{'|'.join(orders)})"


def _left(literal: str, begun: str) -> str | None:
    """What of a literal is to come behind a text that begins it, spaces apart: nothing where that goes on
    into the answer; None where it does not begin it.
    """
    at = 0
    for sign in "".join(begun.split()):
        while literal[at : at + 1].isspace():
            at += 1
        if at == len(literal):
            return "" if literal else None
        if literal[at] != sign:
            return None
        at += 1
    return literal[at:].lstrip() if begun[-1].isspace() else literal[at:]


def _escaped(text: str) -> str:
    return re.sub(r"[\\.+*?()|\[\]{}^$#&~-]", r"\\\g<0>", text).replace("\n", r"\n")


class _Bytes:
    """A vocabulary of all bytes and an end: what no word of it satisfies, no tokenizer's does."""

    eos_token_id = 256
    bos_token_id = None
    tokens = [*(bytes([number]) for number in range(256)), b"<end>"]
    special_token_ids = [256]
    is_tokenizer_wrapper = True

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text.encode() if isinstance(text, str) else text)


@lru_cache(1024)
def problem_of(pattern: str) -> str | None:
    """Why no answer can be held to a pattern: it cannot be read, or nothing (but the empty answer)
    matches it. None where one can.
    """
    grammar = LLMatcher.grammar_from_regex(pattern)
    problem = LLMatcher.validate_grammar(grammar)
    if problem:
        said = problem.rpartition("error: ")[2].splitlines()[0]
        return f"cannot be followed: {said} (write it without look-around and back-references)"
    matcher = LLMatcher(LLTokenizer(cast(Any, _Bytes())), grammar)
    if matcher.is_error():
        return f"cannot be followed: {matcher.get_error().splitlines()[0]}"
    if matcher.is_stopped() or not any(matcher.compute_bitmask()[:32]):
        return "is satisfied by no answer"
    return None
