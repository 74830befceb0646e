"""How questions are put to a model, and what stands before and behind an answer in each format.

Everything here is about one data set and model, never about a strategy. `many` tells a prompt that asks a
whole group (of one question, too) from one that asks a question on its own.
"""

import json
from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from branchwise.data.style import AnswerFormat
from branchwise.data.types import Group, Question
from branchwise.records import Record

Form = Literal["chat", "completion"]
Stop = Literal["turn", "form"]
OutlineWords = Literal["en", "zh", "made"]
"""In whose words outlines are asked for: English, Chinese, or those that the tiny model knows."""


class PromptStyle(Record):
    """The words around questions: a data set's instruction in a form that suits the model.

    `shots` are solved groups that prompts show before their own question. See `StyleEntry`, which this
    is made of, for the rest. `hint` is the data set's, for strategies that have answers written in steps
    (their modules say so by `HINTS = True`, and only their cells depend on it).
    """

    name: str = "chat"
    instruction: str = "Answer from the text."
    answer_format: AnswerFormat = "line"
    form: Form = "chat"
    prefilled: bool = False
    stop: Stop = "turn"
    outline: OutlineWords | None = None
    shots: tuple[Group, ...] = Field((), exclude=True)
    hint: str | None = Field(None, exclude=True)

    @property
    def is_json(self) -> bool:
        """Whether answers stand in a JSON object."""
        return self.answer_format == "json"


class AnswerForm(NamedTuple):
    """What a decoder and a reader of one prompt need to know of its style.

    `begun`: the pre-filled beginning that ends the prompt. `closing`: what a reply that a stop text has
    cut lacks to be whole.
    """

    form: Form = "chat"
    begun: str = ""
    stop_texts: tuple[str, ...] = ()
    closing: str = ""

    def whole(self, said: str, cut: bool) -> str:
        """A reply with its beginning; and, where a stop text has cut it, with its end."""
        return self.begun + said + (self.closing if cut else "")


IN_TURNS = AnswerForm()
IN_ONE_TEXT = AnswerForm("completion")


def answer_form(style: PromptStyle, many: bool) -> AnswerForm:
    """The form of the answer to a prompt of this style."""
    return AnswerForm(style.form, beginning(style, many), stop_texts(style, many), closing(style, many))


_BEGINS: dict[AnswerFormat, str] = {
    "line": "",
    "letter": "",
    "free": "",
    "tag": "<answer>",
    "json": '{"answer": "',
}
_MANY_JSON = '[{"id": 1, "answer": "'


def label(style: PromptStyle, many: bool) -> str:
    """What stands before an answer in a prompt that ends in its beginning; empty elsewhere."""
    if not style.prefilled or (style.form == "chat" and style.answer_format in ("tag", "json")):
        return ""
    return "Answers:\n" if many else "Answer:"


def beginning(style: PromptStyle, many: bool) -> str:
    """The pre-filled beginning of the answer, which ends the prompt; empty where there is none.

    No blank ends it: a vocabulary's words begin with theirs.
    """
    if not style.prefilled:
        return ""
    begun = _BEGINS[style.answer_format]
    if many:
        begun = _MANY_JSON if style.is_json else f"1. {begun}".rstrip()
    return _joined(label(style, many), begun)


def _joined(before: str, text: str) -> str:
    blank = before and text and not before.endswith("\n")
    return f"{before} {text}" if blank else before + text


def stop_texts(style: PromptStyle, many: bool) -> tuple[str, ...]:
    """Texts that end an answer by its format; none where the model is to end its turn, and none of a
    free answer, which has no end of its own.
    """
    if style.stop == "turn" or style.answer_format == "free":
        return ()
    if style.is_json:
        if many:
            return ("}]", "}\n]", "} ]")
        # A quote that something follows which no answer goes on with.
        return ('"}', '",', '"\n', '" }') if style.prefilled else ("}",)
    if many:
        # Only a list that has begun is over at a blank line.
        return ("\n\n",) if style.prefilled else ()
    return ("</answer>",) if style.answer_format == "tag" else ("\n",)


def closing(style: PromptStyle, many: bool) -> str:
    """What a reply that a stop text has cut lacks to be whole."""
    if style.stop == "turn":
        return ""
    if style.is_json:
        return "}]" if many else '"}' if style.prefilled else "}"
    return "</answer>" if style.answer_format == "tag" and not many else ""


def reply(style: PromptStyle, answers: Sequence[str], many: bool) -> str:
    """A right reply in the format, with the label where there is one."""
    if style.is_json and many:
        items = [{"id": number, "answer": answer} for number, answer in enumerate(answers, start=1)]
        said = json.dumps(items, ensure_ascii=False)
    else:
        formed = [_formed(style.answer_format, answer) for answer in answers]
        said = numbered(formed) if many else formed[0]
    return _joined(label(style, many), said)


def unlabelled(style: PromptStyle, text: str, many: bool) -> str:
    """A reply without the label that its prompt put before it."""
    return text.removeprefix(label(style, many)).strip() if style.prefilled else text


def gold_of(question: Question) -> str:
    """The answer that a solved question shows: its first gold, several spans by commas. (A free text is
    given whole: its spans are parts of it.)
    """
    has_spans = question.gold_spans and question.answer != "text"
    return ", ".join(question.gold_spans[0]) if has_spans else question.golds[0]


def numbered(answers: Sequence[str]) -> str:
    """Answers as lines with numbers before them."""
    return "\n".join(f"{number}. {answer}" for number, answer in enumerate(answers, start=1))


def _formed(answer_format: AnswerFormat, answer: str) -> str:
    if answer_format == "json":
        return json.dumps({"answer": answer}, ensure_ascii=False)
    return f"<answer>{answer}</answer>" if answer_format == "tag" else answer
