"""QuAC (Choi et al., 2018): dialogues about a section of Wikipedia; a question leans on those before."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.sources.base import (
    BadRow,
    Citation,
    FileDataset,
    Found,
    Grouping,
    Hub,
    Id,
    Item,
    Row,
    ScoredAs,
    all_bad,
    parts,
    reason,
    stated,
)
from branchwise.data.style import Instruction
from branchwise.data.types import CANNOT_ANSWER, Question


class _Text(Row):
    text: str = Field(min_length=1)


class _Turn(Row):
    id: Id
    question: str = Field(min_length=1)
    answers: list[_Text] = []
    orig_answer: _Text | None = None


class _Paragraph(Row):
    id: Id | None = None
    context: str = Field(min_length=1)


class _Article(Row):
    title: str = ""
    background: str = ""


class _HubTexts(Row):
    texts: list[Any]


class _HubRow(Row):
    dialogue_id: Id | None = None
    background: str = ""
    context: str = Field(min_length=1)
    wikipedia_page_title: str = ""
    turn_ids: list[Any]
    questions: list[Any]
    answers: _HubTexts
    orig_answers: _HubTexts


class QuacDataset(FileDataset):
    """QuAC, grouped by dialogue: the first turns of each, in their order."""

    citation = Citation(
        "Choi et al., 2018. QuAC: Question Answering in Context. EMNLP",
        "https://quac.ai/",
        "CC BY-SA 4.0",
    )
    rows_at = "data.item"
    is_dialogue = True

    source: Literal["quac"]
    instruction: Instruction = (
        f"Answer from the text with a phrase from it, or {CANNOT_ANSWER} where it holds no answer."
    )
    hub: Hub = Field("quac", description="Script-based there: datasets 4 and later refuse it.")
    grouping: Grouping = "dialogue"
    unanswerable: Literal["keep", "drop"] = Field(
        "keep", description="Turns whose answer is CANNOTANSWER; dropping leaves gaps in dialogues."
    )
    scorer: ScoredAs = "quac"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """An article of the authors' file (paragraphs of turns), or a dialogue of the hub."""
        if isinstance(row, dict) and "paragraphs" not in row:
            yield from self._hub_dialogue(row, place)
            return
        if not isinstance(row, dict):
            raise ValueError("not an object")
        for place_p, content in parts(row["paragraphs"], place, "paragraphs"):
            turns = content.get("qas") if isinstance(content, dict) else None
            try:
                article = _Article.model_validate(row)
                paragraph = _Paragraph.model_validate(content)
                questions = list(parts(turns, place_p, "qas"))
            except ValueError as error:
                yield from all_bad(turns, place_p, "qas", error)
                continue
            about = {
                "context": _passage(article.background, paragraph.context),
                "title": article.title,
                "block": paragraph.id or place_p,
                "block_place": place_p,
            }
            for place_q, turn in questions:
                yield from self._turn(turn, place_q, about)

    def _hub_dialogue(self, content: dict, place: str) -> Iterator[Found]:
        try:
            row = _HubRow.model_validate(content)
            columns = (row.turn_ids, row.questions, row.answers.texts, row.orig_answers.texts)
            if len({len(column) for column in columns}) > 1:
                raise ValueError("turn_ids, questions and answers are not of one length")
        except ValueError as error:
            yield from all_bad(content.get("questions"), place, "questions", error)
            return
        about = {
            "context": _passage(row.background, row.context),
            "title": row.wikipedia_page_title,
            "block": row.dialogue_id or place,
            "block_place": place,
        }
        for number, (name, text, texts, original) in enumerate(zip(*columns, strict=True)):
            answers = [{"text": answer} for answer in texts] if isinstance(texts, list) else texts
            turn = {"id": name, "question": text, "answers": answers}
            if original is not None:
                turn["orig_answer"] = {"text": original}
            yield from self._turn(turn, f"{place}.questions[{number}]", about)

    def _turn(self, content: Any, place: str, about: dict[str, str]) -> Iterator[Found]:
        try:
            turn = _Turn.model_validate(content)
            golds = tuple(answer.text for answer in turn.answers if answer.text.strip())
            golds = golds or ((turn.orig_answer.text,) if turn.orig_answer else ())
            if not any(gold.strip() for gold in golds) or not turn.question.strip():
                raise ValueError("an empty question, or no answer")
        except ValueError as error:
            yield BadRow(place, reason(error))
            return
        if self.unanswerable == "drop" and set(golds) == {CANNOT_ANSWER}:
            return
        question = Question(id=turn.id, text=turn.question.strip(), golds=golds, kind="quac")
        yield Item(place, question, **about, in_context=stated(golds, about["context"]))


def _passage(background: str, context: str) -> str:
    """The section under the article's introduction, as the dialogue's people saw them."""
    context = context.removesuffix(CANNOT_ANSWER).strip()
    return f"{background.strip()}\n\n{context}" if background.strip() else context
