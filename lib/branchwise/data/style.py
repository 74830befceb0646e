"""The words that a data set puts around its questions; `branchwise.prompts` makes prompts of them."""

from typing import Annotated, Literal

from pydantic import Field

from branchwise.records import Record

AnswerFormat = Literal["line", "tag"]
Instruction = Annotated[str, Field(description="First words of every prompt.")]


class PromptStyle(Record):
    """The words that a data set puts around its questions; the same for every strategy."""

    instruction: Instruction = "Answer from the text."
    answer_format: AnswerFormat = Field(
        "line", description="line: the answer alone; tag: between <answer> and </answer>."
    )
