"""CMB (Wang et al., 2024), Chinese medicine: CMB-Clin, questions on cases, and CMB-Exam, choices."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.languages import Language
from branchwise.data.letters import letters_in
from branchwise.data.sources.base import (
    BadRow,
    Citation,
    FileDataset,
    Found,
    Grouping,
    Hub,
    HubConfig,
    Id,
    Item,
    Row,
    ScoredAs,
    Split,
    all_bad,
    parts,
    reason,
    text_id,
)
from branchwise.data.style import Instruction
from branchwise.data.types import LETTERS, Question

CITATION = Citation(
    "Wang et al., 2024. CMB: A Comprehensive Medical Benchmark in Chinese. NAACL",
    "https://github.com/FreedomIntelligence/CMB",
    "Apache-2.0",
)


class _Pair(Row):
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class _Case(Row):
    id: Id | None = None
    title: str = ""
    description: str


class CmbClinDataset(FileDataset):
    """CMB-Clin: cases with questions that are answered in full sentences; grouped by case."""

    citation = CITATION

    source: Literal["cmb_clin"]
    instruction: Instruction = "请根据病例用中文回答问题。"
    hub: Hub = "FreedomIntelligence/CMB"
    hub_config: HubConfig = "CMB-Clin"
    split: Split = "test"
    scorer: ScoredAs = "overlap"
    language: Language = "zh"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A case: id, title, description, QA_pairs; the hub has the same fields."""
        pairs = row.get("QA_pairs") if isinstance(row, dict) else None
        try:
            case = _Case.model_validate(row)
            if not case.description.strip():
                raise ValueError("an empty `description`")
        except ValueError as error:
            yield from all_bad(pairs, place, "QA_pairs", error)
            return
        name = case.id or text_id(case.description)
        for number, (place_q, content) in enumerate(parts(pairs, place, "QA_pairs"), 1):
            try:
                pair = _Pair.model_validate(content)
                if not pair.question.strip() or not pair.answer.strip():
                    raise ValueError("an empty question or answer")
            except ValueError as error:
                yield BadRow(place_q, reason(error))
                continue
            question = Question(
                id=f"{name}-{number}",
                text=pair.question.strip(),
                golds=(pair.answer.strip(),),
                answer="text",
                kind="clinical",
            )
            yield Item(place_q, question, case.description.strip(), case.title)


class _Exam(Row):
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    option: dict[str, str | None] = Field(min_length=2)
    exam_type: str = ""
    exam_class: str = ""
    exam_subject: str = ""
    id: Id | None = None


class CmbExamDataset(FileDataset):
    """CMB-Exam: questions with one right letter or several; grouped at random, by subject or shared
    medical term, or by shared background.
    """

    citation = CITATION
    may_have_several = True

    source: Literal["cmb_exam"]
    instruction: Instruction = "请选出正确的选项，只回答字母；可能有多个正确选项。"
    hub: Hub = "FreedomIntelligence/CMB"
    hub_config: HubConfig = "CMB-Exam"
    split: Split = "val"
    grouping: Grouping = "random"
    scorer: ScoredAs = "choice"
    language: Language = "zh"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """One exam question, or a row that groups several by `medical_term` or `background`."""
        if not isinstance(row, dict) or "questions" not in row:
            if self.grouping == "context":
                raise ValueError("a question without a background cannot be grouped by it")
            yield _exam_item(row, place, "", "")
            return
        background, term = str(row.get("background") or ""), str(row.get("medical_term") or "")
        for place_q, content in parts(row["questions"], place, "questions"):
            try:
                yield _exam_item(content, place_q, background.strip(), term)
            except ValueError as error:
                yield BadRow(place_q, reason(error))


def _exam_item(content: Any, place: str, background: str, term: str) -> Item:
    row = _Exam.model_validate(content)
    given = ((letter, (text or "").strip()) for letter, text in sorted(row.option.items()))
    options = {letter: text for letter, text in given if text}
    answer = letters_in(row.answer)
    if not row.question.strip():
        raise ValueError("an empty question")
    if list(options) != list(LETTERS[: len(options)]):
        raise ValueError(f"options are {', '.join(options)}, not letters from A on without a gap")
    if not answer or not set(answer) <= set(options):
        raise ValueError(f"the answer {row.answer!r} is not among the options {', '.join(options)}")
    name = row.id if row.id is not None else text_id(f"{background}{row.question}{row.option}")
    question = Question(
        id=str(name),
        text=row.question.strip(),
        golds=(answer,),
        answer="choice",
        options=tuple(options.values()),
        kind="several" if len(answer) > 1 else "one",
        guess=1 / (2 ** len(options) - 1) if len(answer) > 1 else 1 / len(options),
    )
    return Item(place, question, background, subdomain=term or row.exam_subject)
