"""SQuAD v1.1 (Rajpurkar et al., 2016): questions about Wikipedia passages, answered by a phrase."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field

from branchwise.data.sources.base import (
    BadRow,
    Citation,
    FileDataset,
    Found,
    Hub,
    Id,
    Item,
    Revision,
    Row,
    parts,
    reason,
    stated,
)
from branchwise.data.style import Instruction
from branchwise.data.types import NO_ANSWER, Question


class _Answers(Row):
    text: list[str]


class _Row(Row):
    """A question in the hub's form; further fields are ignored."""

    id: Id
    title: str = ""
    context: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers: _Answers | None = None
    is_impossible: bool | None = None


class SquadForm(FileDataset):
    """Sets in SQuAD's two forms, the official file's and the hub's."""

    rows_at = "data.item"

    has_unanswerable: ClassVar[bool] = False
    """Whether an empty list of answers says that the text holds none (SQuAD 2.0)."""

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """An article of the official file, or a flat row of the hub."""
        if not isinstance(row, dict) or "paragraphs" not in row:
            yield self._item(row, place)
            return
        for place_p, paragraph in parts(row["paragraphs"], place, "paragraphs"):
            qas = paragraph.get("qas") if isinstance(paragraph, dict) else None
            try:
                questions = list(parts(qas, place_p, "qas"))
            except ValueError as error:
                yield BadRow(place_p, str(error))
                continue
            for place_q, qa in questions:
                try:
                    yield self._item(_flat(row, paragraph, qa), place_q)
                except ValueError as error:
                    yield BadRow(place_q, reason(error))

    def _item(self, content: Any, place: str) -> Item:
        row = _Row.model_validate(content)
        if not row.question.strip():
            raise ValueError("an empty question")
        golds = self._golds(row)
        kind = "squad"
        if self.has_unanswerable:
            kind = "has_answer" if golds else "no_answer"
        golds = golds or (NO_ANSWER,)
        question = Question(id=row.id, text=row.question.strip(), golds=golds, kind=kind)
        context = row.context.lstrip("\ufeff")  # some of XQuAD's passages begin with a byte-order mark
        return Item(place, question, context, row.title, in_context=stated(golds, context))

    def _golds(self, row: _Row) -> tuple[str, ...]:
        """The accepted answers; () where the text holds none. Raises ValueError where it is not clear."""
        if row.answers is None and not row.is_impossible:
            raise ValueError("answers: no answers")
        golds = tuple(dict.fromkeys(text.strip() for text in row.answers.text)) if row.answers else ()
        if not all(golds):
            raise ValueError("an empty answer")
        if not golds and not self.has_unanswerable:
            raise ValueError("answers.text: no answer (source squad_v2 reads unanswerable questions)")
        if row.is_impossible is not None and row.is_impossible is bool(golds):
            raise ValueError(f"is_impossible is {row.is_impossible}, with {len(golds)} answers")
        return golds


class SquadDataset(SquadForm):
    """SQuAD v1.1, grouped by passage."""

    citation = Citation(
        "Rajpurkar et al., 2016. SQuAD: 100,000+ Questions for Machine Comprehension of Text. EMNLP",
        "https://rajpurkar.github.io/SQuAD-explorer/",
        "CC BY-SA 4.0",
    )

    source: Literal["squad"]
    instruction: Instruction = "Answer from the text with the shortest phrase from it."
    hub: Hub = "rajpurkar/squad"
    revision: Revision = "7b6d24c440a36b6815f21b70d25016731768db1f"


def _flat(article: dict, paragraph: dict, qa: Any) -> Any:
    """A question of the official schema in the hub's form; what is missing stays missing."""
    if not isinstance(qa, dict):
        return qa
    row = {key: qa[key] for key in ("id", "question", "is_impossible", "answers") if key in qa}
    row |= {"title": article.get("title", "")}
    if "context" in paragraph:
        row["context"] = paragraph["context"]
    if isinstance(row.get("answers"), list):
        texts = [a.get("text") if isinstance(a, dict) else a for a in row["answers"]]
        row["answers"] = {"text": texts}
    return row
