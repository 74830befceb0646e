"""`branchwise read`: what is read from replies, and by which rule."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field, ValidationError, model_validator

from branchwise.commands.lines import lines_of
from branchwise.commands.main import command
from branchwise.data.style import AnswerFormat
from branchwise.data.types import LETTERS, AnswerType, Question
from branchwise.errors import UserError
from branchwise.records import Record

_MARK = b"\xef\xbb\xbf"
Words = list[str] | dict[str, str]
FIELDS = (
    "reply; answer: span, number, choice, text or cloze (or a list of these, one a question); "
    "options: a list, or letter to words (or a list of lists); num_questions; "
    "answer_format: line, tag or free; question or questions: their words"
)


class ReplyLine(Record):
    """One line of the file: a reply, and what it was asked for."""

    reply: str
    answer: AnswerType | list[AnswerType] = "span"
    options: Words | list[Words] | None = None
    num_questions: int = Field(1, ge=1, le=200)
    answer_format: AnswerFormat = "line"
    question: str | None = None
    questions: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _count(cls, content: Any) -> Any:
        """Lists of one entry a question say how many questions there are."""
        if isinstance(content, dict) and "num_questions" not in content:
            for key in ("questions", "answer"):
                if isinstance(content.get(key), list):
                    return {**content, "num_questions": len(content[key])}
        return content

    @model_validator(mode="after")
    def _lists_are_whole(self) -> "ReplyLine":
        each = {"answer": self.answer, "questions": self.questions, "options": self.options}
        for name, value in each.items():
            is_list = isinstance(value, list) and not (name == "options" and _is_one_set(value))
            if is_list and len(value) != self.num_questions:  # type: ignore[arg-type]
                raise ValueError(f"{name} has {len(value)} entries for {self.num_questions} questions")  # type: ignore[arg-type]
        return self

    def as_questions(self) -> tuple[Question, ...]:
        """The questions that the reply answers."""
        made = []
        for index in range(self.num_questions):
            answer = self.answer[index] if isinstance(self.answer, list) else self.answer
            texts = self.questions or ([self.question] if self.question else [])
            text = texts[index] if index < len(texts) and texts[index] else "?"
            options = self.options or []
            if isinstance(options, list) and not _is_one_set(options):
                options = options[index]  # type: ignore[assignment]
            made.append(
                Question(
                    id=str(index), text=text, golds=("?",), answer=answer, options=_in_order(options)
                )
            )
        return tuple(made)


def _is_one_set(options: Any) -> bool:
    """Whether options are those of one question, and not a set for each."""
    return isinstance(options, dict) or all(isinstance(option, str) for option in options)


def _in_order(options: Any) -> tuple[str, ...]:
    """Options as a tuple. Raises ValueError where letters leave a gap."""
    if not isinstance(options, dict):
        return tuple(options or ())
    given = {letter.strip().upper(): words for letter, words in sorted(options.items()) if words.strip()}
    if list(given) != list(LETTERS[: len(given)]):
        raise ValueError(f"options are {', '.join(given)}, not letters from A on without a gap")
    return tuple(given.values())


@command("read")
def read(
    file: Annotated[Path, typer.Argument(help="JSON lines, one reply each; - reads standard input.")],
) -> None:
    """Show what is read from replies: the answer, the rule that read it, and whether it was well formed.

    A line of FILE holds:

    - reply: what a model said.

    - answer: span (as default), number, choice, text or cloze; a list of these, one a question.

    - options: of a choice, a list of words or an object letter -> words; a list of these, one a question.

    - num_questions: 1 as default; with more the reply answers all of them (all_in_one).

    - answer_format: line (as default), tag or free; only well_formed depends on it, but of a free text
    with free the whole reply is taken.

    - question, or questions: their words, where they are known.

    Printed is one JSON object a line: {"answer", "rule", "well_formed"}, or {"answers": [...]} of these
    where num_questions is more than 1. An empty answer, with rule "", is one that was not found.
    """
    for line in _lines(file):
        print(line)


def _lines(file: Path) -> Iterator[str]:
    from branchwise.prompts import read_many, read_one

    for place, line in _read(file):
        try:
            asked = ReplyLine.model_validate(json.loads(line))
            questions = asked.as_questions()
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise _bad(place, f"{where}: {first['msg']}" if where else first["msg"]) from None
        except (ValueError, RecursionError) as error:
            raise _bad(place, str(error)) from None
        if asked.num_questions == 1:
            reading = read_one(asked.reply, questions[0], asked.answer_format)
            yield json.dumps(_shown(reading), ensure_ascii=False)
        else:
            readings = read_many(asked.reply, questions, asked.answer_format)
            yield json.dumps({"answers": [_shown(one) for one in readings]}, ensure_ascii=False)


def _shown(reading: Any) -> dict[str, Any]:
    return {"answer": reading.answer, "rule": reading.rule, "well_formed": reading.well_formed}


def _bad(place: str, problem: str) -> UserError:
    return UserError(f"{place}: {problem}", f"a line is a JSON object with {FIELDS}")


def _read(file: Path) -> Iterator[tuple[str, str]]:
    """Lines that are not blank, each with its place. Raises UserError for one that is not UTF-8."""
    name = "standard input" if str(file) == "-" else str(file)
    for number, raw in lines_of(file):
        place = f"{name}, line {number}"
        try:
            line = raw.removeprefix(_MARK if number == 1 else b"").decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{place} is not UTF-8: {error.reason} at byte {error.start}", "save it as UTF-8"
            ) from None
        if line.strip():
            yield place, line
