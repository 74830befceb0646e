"""DROP (Dua et al., 2019): questions that count, compare and add what a passage says."""

from collections.abc import Iterator
from math import isfinite
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
    Texts,
    all_bad,
    parts,
    reason,
)
from branchwise.data.style import Instruction
from branchwise.data.types import Question


class _Answer(Row):
    number: str | int | float = ""
    date: dict[str, str | int | None] = {}
    spans: Texts = []

    def as_spans(self) -> tuple[str, ...]:
        """The answer as spans: a number and a date are one each; () where there is none. Raises
        ValueError for a number that is none (NaN).
        """
        if isinstance(self.number, float) and not isfinite(self.number):
            raise ValueError(f"number: {self.number} is none")
        if str(self.number).strip():
            return (str(self.number).strip(),)
        if spans := tuple(span.strip() for span in self.spans if span.strip()):
            return spans
        date = (str(self.date.get(part) or "").strip() for part in ("day", "month", "year"))
        words = " ".join(part for part in date if part)
        return (words,) if words else ()


class _Pair(Row):
    query_id: Id
    question: str = Field(min_length=1)
    answer: _Answer
    validated_answers: list[_Answer] = []


class _HubSpans(Row):
    spans: Texts = Field(min_length=1)


class _HubRow(Row):
    section_id: Id = ""
    query_id: Id
    passage: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers_spans: _HubSpans


class DropDataset(FileDataset):
    """DROP, grouped by passage. The authors' file keeps an answer's spans apart from its validations;
    the hub's copy merges them, so there every span counts as an accepted answer of its own.
    """

    citation = Citation(
        "Dua et al., 2019. DROP: A Reading Comprehension Benchmark Requiring Discrete Reasoning. NAACL",
        "https://allenai.org/data/drop",
        "CC BY-SA 4.0",
    )
    rows_at = "*"

    source: Literal["drop"]
    instruction: Instruction = (
        "Answer from the text with a number, a date or the shortest phrase. Part several with ;."
    )
    hub: Hub = "ucinlp/drop"
    scorer: ScoredAs = "drop"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A member (passage id, content) of the authors' object, or a flat row of the hub."""
        golds: list[tuple[str, ...]]
        if isinstance(row, dict):
            found = _HubRow.model_validate(row)
            golds = [(span.strip(),) for span in found.answers_spans.spans if span.strip()]
            yield _item(place, found.query_id, found.question, golds, found.passage, found.section_id)
            return
        if not isinstance(row, tuple):
            raise ValueError("not an object")
        name, content = row
        if not isinstance(content, dict):
            raise ValueError("not an object")
        if not isinstance(content.get("passage"), str) or not content["passage"].strip():
            wrong = ValueError("no text `passage`")
            yield from all_bad(content.get("qa_pairs"), place, "qa_pairs", wrong)
            return
        for place_q, pair in parts(content.get("qa_pairs"), place, "qa_pairs"):
            try:
                found_pair = _Pair.model_validate(pair)
                answers = [found_pair.answer, *found_pair.validated_answers]
                golds = [spans for answer in answers if (spans := answer.as_spans())]
                yield _item(
                    place_q, found_pair.query_id, found_pair.question, golds, content["passage"], name
                )
            except ValueError as error:
                yield BadRow(place_q, reason(error))


def _item(
    place: str, query_id: str, text: str, golds: list[tuple[str, ...]], passage: str, title: str
) -> Item:
    golds = list(dict.fromkeys(golds))
    if not golds or not text.strip():
        raise ValueError("an empty question, or no answer")
    question = Question(
        id=query_id,
        text=text.strip(),
        golds=tuple("; ".join(spans) for spans in golds),
        gold_spans=tuple(golds) if any(len(spans) > 1 for spans in golds) else (),
        kind="drop",
    )
    lowered = passage.casefold()
    known = any(all(span.casefold() in lowered for span in spans) for spans in golds)
    return Item(place, question, passage.strip(), title, in_context=known)
