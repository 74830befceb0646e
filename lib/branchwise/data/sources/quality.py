"""QuALITY (Pang et al., 2022): multiple choice about long articles."""

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
    Row,
    ScoredAs,
    all_bad,
    parts,
    reason,
    text_id,
)
from branchwise.data.style import Instruction
from branchwise.data.types import LETTERS, Question


class _Question(Row):
    question: str = Field(min_length=1)
    question_unique_id: Id | None = None
    options: list[str] = Field(min_length=2, max_length=len(LETTERS))
    gold_label: int = Field(ge=1, description="1-based, in the authors' files.")
    difficult: int = 0


class _HubRow(Row):
    article: str = Field(min_length=1)
    question: str = Field(min_length=1)
    options: list[str] = Field(min_length=2, max_length=len(LETTERS))
    answer: int = Field(ge=0, description="0-based, in the hub's copy.")
    hard: bool = False


class QualityDataset(FileDataset):
    """QuALITY, grouped by article."""

    citation = Citation(
        "Pang et al., 2022. QuALITY: Question Answering with Long Input Texts, Yes! NAACL",
        "https://github.com/nyu-mll/quality",
        "CC BY 4.0",
    )

    source: Literal["quality"]
    instruction: Instruction = "Choose the option that the text supports and answer with its letter."
    hub: Hub = "emozilla/quality"
    hard_only: bool = Field(False, description="Only questions that hurried readers got wrong.")
    scorer: ScoredAs = "choice"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """An article of the authors' JSON lines, or a question of the hub (answers 0-based there)."""
        if isinstance(row, dict) and "questions" not in row:
            found = _HubRow.model_validate(row)
            name = text_id(found.article + found.question)
            yield from self._item(
                place, name, found.question, found.options, found.answer, found.hard, found.article
            )
            return
        if not isinstance(row, dict):
            raise ValueError("not an object")
        if not isinstance(row.get("article"), str) or not row["article"].strip():
            yield from all_bad(row["questions"], place, "questions", ValueError("no text `article`"))
            return
        for place_q, content in parts(row["questions"], place, "questions"):
            try:
                one = _Question.model_validate(content)
                name = one.question_unique_id or text_id(row["article"] + one.question)
                yield from self._item(
                    place_q,
                    name,
                    one.question,
                    one.options,
                    one.gold_label - 1,
                    bool(one.difficult),
                    row["article"],
                )
            except ValueError as error:
                yield BadRow(place_q, reason(error))

    def _item(
        self, place: str, name: str, text: str, options: list[str], right: int, hard: bool, article: str
    ) -> Iterator[Item]:
        if right >= len(options):
            raise ValueError(f"the answer is option {right + 1} of {len(options)}")
        if not text.strip() or not all(option.strip() for option in options):
            raise ValueError("an empty question or option")
        if self.hard_only and not hard:
            return
        question = Question(
            id=name,
            text=text.strip(),
            golds=(LETTERS[right],),
            answer="choice",
            options=tuple(option.strip() for option in options),
            kind="hard" if hard else "easy",
            guess=1 / len(options),
        )
        yield Item(place, question, article.strip())
