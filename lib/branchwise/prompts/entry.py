"""The catalogue entry of a prompt style. Torch-free, since the config reads it."""

from typing import Literal

from pydantic import Field, model_validator

from branchwise.data.style import AnswerFormat
from branchwise.prompts.style import Form, OutlineWords, Stop
from branchwise.records import Record

DEFAULT_STYLE = "chat"
"""The style where nobody names one."""


class StyleEntry(Record):
    """How a question is put to a model: the same for every strategy of a data set."""

    form: Form = Field(
        "chat",
        description="chat: turns, by the model's chat template; completion: one text without any "
        "template, for base and small models, which always ends in a label such as `Answer:`.",
    )
    answer_format: AnswerFormat | None = Field(
        None, description="line, tag, json, letter or free; default: the data set's."
    )
    prefilled: bool | None = Field(
        None,
        description="Whether the prompt ends in the beginning of the answer (`Answer:`, `<answer>`, "
        '`{"answer": "`), counted as sent; default: with form completion.',
    )
    stop: Stop | None = Field(
        None,
        description="turn: an answer ends where the model ends its turn; form: also where its format "
        "ends (line end, closing tag, closing quote; a free one nowhere); default: form where the "
        "beginning is pre-filled.",
    )
    shots: int = Field(
        0, ge=0, le=100, description="Solved questions that every prompt shows before its own."
    )
    shots_from: Literal["made", "train"] = Field(
        "made",
        description="made: those that ship with the data set's module; train: drawn from its training "
        "split (shots_path, or the split `train` of its hub id).",
    )
    shots_path: str | None = Field(
        None,
        description="Local file of the training split, in the data set's schema; relative to the file "
        "that says so.",
    )
    shots_seed: int = Field(0, ge=0, description="Which groups of the training split are shown.")
    outline: OutlineWords | None = Field(
        None,
        description="Words in which strategies that outline their answers ask for it: en, zh, or made "
        "(those of the tiny model); default: en.",
    )
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    @model_validator(mode="after")
    def _sound(self) -> "StyleEntry":
        if self.form == "completion" and self.prefilled is False:
            raise ValueError(
                "form completion has no turns, so its prompts end in the beginning of the answer: leave "
                "out `prefilled: false`, or take form chat"
            )
        if self.shots_path is not None and self.shots_from != "train":
            raise ValueError("shots_path is given: write `shots_from: train` too, or leave it out")
        if self.shots_from == "train" and not self.shots:
            raise ValueError("shots_from train, but no shots: give their number, `shots: 5`")
        return self

    @property
    def is_prefilled(self) -> bool:
        """Whether prompts end in the beginning of the answer."""
        return self.form == "completion" if self.prefilled is None else self.prefilled

    @property
    def stops_at(self) -> Stop:
        """Where an answer ends."""
        return self.stop or ("form" if self.is_prefilled else "turn")
