"""The two nouns that every stage exchanges: a `Question` and the `Group` it belongs to."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, model_validator

from branchwise.records import Record

AnswerType = Literal["span", "number", "choice", "text", "cloze"]
"""What a right answer looks like: a phrase of the text, a number, letters of options, free text, or
the word that a blank stands for."""

Scorer = Literal[
    "squad",
    "squad_v2",
    "cmrc",
    "hotpotqa",
    "triviaqa",
    "drop",
    "quac",
    "choice",
    "overlap",
    "containment",
    "retrieval",
    "parts",
]
"""Whose definitions of the metrics a data set is scored by (`branchwise.evaluation.metrics`)."""

CANNOT_ANSWER = "CANNOTANSWER"
"""What QuAC's people said where the text holds no answer."""

NO_ANSWER = "no answer"
"""What a model says, and what a gold says, where the text holds no answer (SQuAD 2.0)."""

LETTERS = "ABCDEFGHIJ"
"""Labels of options, in order."""


class Question(Record):
    """One question of a group, with what is known about its answer.

    `text` is what is asked, without options; the renderer writes `options` under it as lettered
    lines. `golds` are all accepted answers (letters for `choice`).
    """

    id: str = Field(min_length=1, description="Unique in its group, stable across runs.")
    text: str = Field(min_length=1)
    golds: tuple[str, ...] = Field(min_length=1, description="Every accepted answer.")
    gold_spans: tuple[tuple[str, ...], ...] = Field(
        (),
        description="Where answers have several spans (DROP) or parts (`title: value`): every accepted "
        "one as its spans.",
    )
    kind: str = Field("question", description="What tables split by: look_up, two_hop, ...")
    answer: AnswerType = "span"
    options: tuple[str, ...] = Field((), max_length=len(LETTERS))
    paraphrases: tuple[str, ...] = Field((), description="Other wordings of the same question.")
    confidences: tuple[tuple[str, float], ...] = Field(
        (),
        description="Wordings, each with how sure a model is of its answer to it, 0 to 1 (`confide`).",
    )
    needs: tuple[str, ...] = Field((), description="Ids of questions whose answers help here.")
    context: str | None = Field(None, description="Its own passage, where a group shares none.")
    guess: float | None = Field(
        None, ge=0, le=1, description="Chance of a guess by the type of the answer alone (worlds)."
    )
    chain_guess: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Chance of the best guess that knows the question to be about something that an "
        "earlier answer names, but not that answer (worlds).",
    )


class Group(Record):
    """Related questions about one context, asked together."""

    id: str = Field(min_length=1)
    title: str = ""
    context: str = ""
    questions: tuple[Question, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_sound(self) -> "Group":
        ids = [question.id for question in self.questions]
        if len(set(ids)) < len(ids):
            raise ValueError(f"group {self.id}: question ids are not unique: {ids}")
        for question in self.questions:
            unknown = set(question.needs) - set(ids)
            if unknown or question.id in question.needs:
                raise ValueError(
                    f"group {self.id}, question {question.id}: needs {list(question.needs)}, "
                    f"but may only need other questions of its group: {ids}"
                )
        return self

    def __iter__(self) -> Iterator[Question]:  # type: ignore[override]
        return iter(self.questions)

    def __len__(self) -> int:
        return len(self.questions)
