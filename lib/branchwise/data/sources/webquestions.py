"""WebQuestions (Berant et al., 2013), with paraphrases where the file holds some."""

import re
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.sources.base import (
    Citation,
    FileDataset,
    Found,
    Grouping,
    Hub,
    Item,
    Row,
    ScoredAs,
    Split,
    Texts,
    text_id,
    with_wordings,
)
from branchwise.data.style import Instruction
from branchwise.data.types import Question

_DESCRIPTION = re.compile(r'\(description (?:"((?:[^"\\]|\\.)*)"|([^()"]*))\)')


class _Row(Row):
    question: str = Field(min_length=1)
    answers: Texts = Field(min_length=1)
    paraphrases: Texts = []


class WebQuestionsDataset(FileDataset):
    """WebQuestions; a question's other wordings are its fields `paraphrases` or paraphrase0, 1, ..."""

    citation = Citation(
        "Berant et al., 2013. Semantic Parsing on Freebase from Question-Answer Pairs. EMNLP",
        "https://nlp.stanford.edu/software/sempre/",
        "CC BY 4.0",
    )

    source: Literal["webquestions"]
    instruction: Instruction = "Answer from general knowledge with a short phrase."
    hub: Hub = "stanfordnlp/web_questions"
    split: Split = "test"
    grouping: Grouping = "random"
    scorer: ScoredAs = "containment"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A row of the hub (question, answers) or of the authors' file (utterance, targetValue)."""
        if isinstance(row, dict) and "utterance" in row:
            row = {"question": row["utterance"], "answers": _targets(str(row.get("targetValue", "")))}
        if isinstance(row, dict) and "paraphrases" not in row:
            numbered = sorted(
                (key for key in row if re.fullmatch(r"paraphrase\d+", key)), key=lambda key: int(key[10:])
            )
            row = row | {"paraphrases": [row[key] for key in numbered if row[key] is not None]}
        found = _Row.model_validate(row)
        text = found.question.strip()
        golds = dict.fromkeys(answer.strip() for answer in found.answers)
        golds.pop("", None)
        if not text or not golds:
            raise ValueError("an empty question, or no answer")
        question = Question(id=text_id(text), text=text, golds=tuple(golds), kind="web")
        yield from with_wordings(Item(place, question), found.paraphrases)


def _targets(value: str) -> list[str]:
    """The answers of the authors' notation: (list (description Jazz) (description "New York"))."""
    found = _DESCRIPTION.findall(value)
    return [re.sub(r"\\(.)", r"\1", quoted) or plain.strip() for quoted, plain in found]
