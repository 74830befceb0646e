"""The words that a data set puts around its questions; `branchwise.prompts` makes prompts of them."""

from typing import Annotated, Literal

from pydantic import Field

from branchwise.records import Record

AnswerFormat = Literal["line", "tag", "json", "letter", "free"]
Instruction = Annotated[str, Field(description="First words of every prompt.")]
Hint = Annotated[
    str | None,
    Field(
        description="How a question is worked through in steps: what they are, and how to end. "
        "Strategies that have answers written in steps say it in their prompts; no other does.",
    ),
]


class Wording(Record):
    """What a data set says of how its questions are put; the same for every strategy."""

    instruction: Instruction = "Answer from the text."
    answer_format: AnswerFormat = Field(
        "line",
        description="line: the answer alone; tag: between <answer> and </answer>; json: an object with "
        '"answer"; letter: the letter of an option; free: in whatever form, so that prompts say nothing '
        "of it and the whole reply is the answer. A prompt style may name another.",
    )
    hint: Hint = None
    style: str | None = Field(
        None,
        description="Prompt style from the catalogue, where neither the experiment nor the model names "
        "one; default: chat.",
    )
