"""TriviaQA (Joshi et al., 2017) without its evidence: trivia questions with all aliases of an answer."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, Field

from branchwise.data.sources.base import (
    Citation,
    FileDataset,
    Found,
    Grouping,
    Hub,
    HubConfig,
    Item,
    ScoredAs,
)
from branchwise.data.types import Question
from branchwise.prompts.rendering import Instruction


class _Answer(BaseModel):
    value: str = Field("", validation_alias=AliasChoices("Value", "value"))
    aliases: list[str] = Field([], validation_alias=AliasChoices("Aliases", "aliases"))


class _Row(BaseModel):
    """The authors' names or, in snake case, the hub's."""

    question_id: str = Field(validation_alias=AliasChoices("QuestionId", "question_id"), min_length=1)
    question: str = Field(validation_alias=AliasChoices("Question", "question"), min_length=1)
    answer: _Answer = Field(validation_alias=AliasChoices("Answer", "answer"))


class TriviaqaDataset(FileDataset):
    """TriviaQA; groups are drawn at random, or of similar questions."""

    citation = Citation(
        "Joshi et al., 2017. TriviaQA: A Large Scale Distantly Supervised Challenge Dataset. ACL",
        "https://nlp.cs.washington.edu/triviaqa/",
        "Apache-2.0 (the code); questions of their authors",
    )
    rows_at = "Data.item"

    source: Literal["triviaqa"]
    instruction: Instruction = "Answer the trivia question with a short phrase."
    hub: Hub = "mandarjoshi/trivia_qa"
    hub_config: HubConfig = "rc.nocontext"
    grouping: Grouping = "random"
    scorer: ScoredAs = "triviaqa"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A question; every alias is right, and the value itself."""
        found = _Row.model_validate(row)
        golds = dict.fromkeys(text.strip() for text in (found.answer.value, *found.answer.aliases))
        golds.pop("", None)
        if not golds or not found.question.strip():
            raise ValueError("an empty question, or no answer")
        question = Question(
            id=found.question_id, text=found.question.strip(), golds=tuple(golds), kind="trivia"
        )
        yield Item(place, question)
