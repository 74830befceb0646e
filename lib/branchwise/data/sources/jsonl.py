"""Own data: one group a line, in the documented format (config/own-data.schema.json)."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, ConfigDict, Field, SkipValidation

from branchwise.data.sources.base import (
    ONE_PASSAGE,
    BadRow,
    Citation,
    FileDataset,
    Found,
    GroupSize,
    Id,
    Item,
    Note,
    Row,
    all_bad,
    reason,
    stated,
    with_wordings,
    without_nulls,
)
from branchwise.data.types import LETTERS, Question

OwnTexts = Annotated[tuple[str, ...], BeforeValidator(without_nulls)]


def _or_null(schema: dict[str, Any]) -> None:
    """Let a JSON schema take null wherever a field may be left out."""
    for name, field in schema["properties"].items():
        if name not in schema["required"] and "anyOf" not in field:
            field["type"] = [field["type"], "null"]
            if "enum" in field:
                field["enum"] = [*field["enum"], None]


class OwnQuestion(Row, Question):
    """One question of a group, with what is known about its answer.

    `text` is what is asked, without options; `options` are written under it as lettered lines. `golds`
    are all accepted answers (letters for `choice`). Null is as good as absent.
    """

    model_config = ConfigDict(json_schema_extra=_or_null)

    id: Id = Field(description="Unique in its group, stable across runs.")
    golds: OwnTexts = Field(min_length=1, description="Every accepted answer.")
    paraphrases: OwnTexts = Field((), description="Other wordings of the same question.")
    needs: tuple[Id, ...] = Field((), description="Ids of questions whose answers help here.")


class OwnGroup(Row):
    """Related questions about one context, asked together. Null is as good as absent."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=_or_null)

    id: Id = Field(description="Unique in its file.")
    title: str = ""
    context: str = ""
    questions: list[SkipValidation[OwnQuestion]] = Field(min_length=1)


class JsonlDataset(FileDataset):
    """Groups as they are: {"id", "context", "questions": [{"id", "text", "golds", ...}]} a line."""

    citation = Citation("none: your own data", "", "yours")

    may_state_needs = True

    source: Literal["jsonl"]
    path: str | None = Field(None, description="File of JSON lines, one group each.")
    group_size: GroupSize = 200

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A line: a whole group. Ids of questions need only be unique in their group. A question that is
        bad is left out alone; one that needs it is kept, and no longer needs it.
        """
        given = row.get("questions") if isinstance(row, dict) else None
        try:
            group = OwnGroup.model_validate(row)
            if group.context and not group.context.strip():
                raise ValueError(f"group {group.id}: a context of spaces alone; leave it out")
        except ValueError as error:
            yield from all_bad(given, place, "questions", error)
            return
        places = [f"{place}.questions[{number}]" for number in range(len(group.questions))]
        for found in _checked(cast(list[Any], group.questions), places):
            if isinstance(found, BadRow | Note):
                yield found
            else:
                item = self._item(*found, group, place)
                yield from with_wordings(item, item.question.paraphrases)

    def _item(self, place: str, question: Question, group: OwnGroup, group_place: str) -> Item:
        whole = self.grouping in ONE_PASSAGE
        context = question.context or group.context
        known = stated(question.golds, context) if context and question.answer == "span" else None
        if not whole:
            # Elsewhere ids must be unique, and nothing is there that a question could need.
            question = question.model_copy(update={"id": f"{group.id}/{question.id}", "needs": ()})
        passage = group.context if whole else context
        return Item(place, question, passage, group.title, "", group.id, group_place, known)


def _checked(rows: list[Any], places: list[str]) -> Iterator[tuple[str, Question] | BadRow | Note]:
    """The questions of a group with their places, bad ones and notes between them."""
    questions: dict[int, Question] = {}
    bad: dict[int, str] = {}
    names = [_name(row) for row in rows]
    for number, row in enumerate(rows):
        try:
            own = OwnQuestion.model_validate(row)
            _check(own)
            first = names.index(own.id)
            if first < number:
                raise ValueError(f"id {own.id} was there before, at {places[first]}")
            # Where some id cannot be read, what is needed may be that very question.
            if None not in names and not set(own.needs) <= set(names):
                raise ValueError(
                    f"needs {list(own.needs)}, but may only need questions of its group: {names}"
                )
            questions[number] = own
        except (ValueError, TypeError) as error:
            bad[number] = reason(error)
    here = {question.id for question in questions.values()}
    for number, place in enumerate(places):
        if number in bad:
            yield BadRow(place, bad[number])
            continue
        question = questions[number]
        gone = [need for need in question.needs if need not in here]
        if gone:
            needs = tuple(need for need in question.needs if need in here)
            question = question.model_copy(update={"needs": needs})
            yield Note(place, f"question {question.id} no longer needs {', '.join(gone)}: left out")
        yield place, question


def _name(row: Any) -> str | None:
    """A question's id as it is written, if it has one."""
    name = row.get("id") if isinstance(row, dict) else None
    return None if name is None else str(name)


def _check(question: Question) -> None:
    """Raise ValueError for what a type alone does not refuse."""
    if not question.text.strip() or not all(gold.strip() for gold in question.golds):
        raise ValueError(f"question {question.id}: an empty question or answer")
    if question.id in question.needs:
        raise ValueError(f"question {question.id} needs itself")
    letters = set(LETTERS[: len(question.options)] or LETTERS)
    if question.answer == "choice" and not all(set(gold) <= letters for gold in question.golds):
        allowed = ", ".join(sorted(letters))
        raise ValueError(f"question {question.id}: its answers are letters of its options ({allowed})")
