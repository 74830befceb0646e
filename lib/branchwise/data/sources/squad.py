"""SQuAD v1.1 (Rajpurkar et al., 2016): questions about Wikipedia passages, answered by a phrase."""

from collections.abc import Iterator
from typing import Any, Literal

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
from branchwise.data.types import Question


class _Answers(Row):
    text: list[str] = Field(min_length=1)


class _Row(Row):
    """A question in the hub's form; further fields are ignored."""

    id: Id
    title: str = ""
    context: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers: _Answers


class SquadDataset(FileDataset):
    """SQuAD v1.1, grouped by passage."""

    citation = Citation(
        "Rajpurkar et al., 2016. SQuAD: 100,000+ Questions for Machine Comprehension of Text. EMNLP",
        "https://rajpurkar.github.io/SQuAD-explorer/",
        "CC BY-SA 4.0",
    )
    rows_at = "data.item"

    source: Literal["squad"]
    instruction: Instruction = "Answer from the text with the shortest phrase from it."
    hub: Hub = "rajpurkar/squad"
    revision: Revision = "7b6d24c440a36b6815f21b70d25016731768db1f"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """An article of the official file, or a flat row of the hub."""
        if not isinstance(row, dict) or "paragraphs" not in row:
            yield _item(row, place)
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
                    yield _item(_flat(row, paragraph, qa), place_q)
                except ValueError as error:
                    yield BadRow(place_q, reason(error))


def _flat(article: dict, paragraph: dict, qa: Any) -> Any:
    """A question of the official schema in the hub's form; what is missing stays missing."""
    if not isinstance(qa, dict):
        return qa
    row = {key: qa[key] for key in ("id", "question") if key in qa}
    row |= {"title": article.get("title", "")}
    if "context" in paragraph:
        row["context"] = paragraph["context"]
    if isinstance(qa.get("answers"), list):
        texts = [a.get("text") if isinstance(a, dict) else a for a in qa["answers"]]
        row["answers"] = {"text": texts}
    return row


def _item(content: Any, place: str) -> Item:
    row = _Row.model_validate(content)
    golds = tuple(dict.fromkeys(text.strip() for text in row.answers.text))
    if not all(golds) or not row.question.strip():
        raise ValueError("an empty question or answer")
    question = Question(id=row.id, text=row.question.strip(), golds=golds, kind="squad")
    return Item(place, question, row.context, row.title, in_context=stated(golds, row.context))
