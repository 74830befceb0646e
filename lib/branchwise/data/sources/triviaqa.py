"""TriviaQA (Joshi et al., 2017) without its evidence: trivia questions with all aliases of an answer."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import AliasChoices, Field

from branchwise.data.sources.base import (
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
    Texts,
)
from branchwise.data.style import Instruction
from branchwise.data.types import Question

UNLABELLED = "<unk>"
"""What the hub's test split holds in place of an answer."""


class _Answer(Row):
    value: str = Field("", validation_alias=AliasChoices("Value", "value"))
    aliases: Texts = Field([], validation_alias=AliasChoices("Aliases", "aliases"))
    normalized: Texts = Field(
        [], validation_alias=AliasChoices("NormalizedAliases", "normalized_aliases")
    )
    human: Texts = Field([], validation_alias=AliasChoices("HumanAnswers", "human_answers"))


class _Row(Row):
    """The authors' names or, in snake case, the hub's."""

    question_id: Id = Field(validation_alias=AliasChoices("QuestionId", "question_id"))
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
        """A question; right are the value, every alias, also normalised, and what people answered."""
        found = _Row.model_validate(row)
        answer = found.answer
        given = (answer.value, *answer.aliases, *answer.normalized, *answer.human)
        # Of accepted answers that the metric cannot tell apart, the first stands for all.
        golds: dict[str, str] = {}
        for text in (text.strip() for text in given):
            if text and text != UNLABELLED:
                golds.setdefault(text.casefold(), text)
        if not golds or not found.question.strip():
            raise ValueError("an empty question, or no answer")
        question = Question(
            id=found.question_id, text=found.question.strip(), golds=tuple(golds.values()), kind="trivia"
        )
        yield Item(place, question)
