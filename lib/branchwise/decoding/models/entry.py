"""The catalogue entry of a model."""

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from branchwise.decoding.models.templates import FIXED_DATE
from branchwise.records import Record


class ModelEntry(Record):
    """A local folder or a hub id, in the format of transformers."""

    path: str | None = Field(
        None,
        description="Local folder; relative to the file that says so, in a catalogue to the repository.",
    )
    hub: str | None = Field(None, description="Hub id, where no path is given.")
    revision: str | None = Field(None, description="Hub revision; pin it.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: float32 on a CPU, else what the checkpoint was saved in."
    )
    device: str = Field("auto", description="auto: cuda, then mps, then cpu; or a torch device.")
    thinking: bool = Field(
        False,
        description="Whether the model may think before it answers (`enable_thinking` of its chat "
        "template); the thought counts against max_new_tokens and is no part of the answer.",
    )
    template_date: date = Field(
        FIXED_DATE, description="The day that a chat template is told where it asks for today's."
    )
    style: str | None = Field(
        None,
        description="Prompt style from the catalogue, where the experiment names none; default: the data "
        "set's.",
    )
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    @model_validator(mode="after")
    def _one_place(self) -> "ModelEntry":
        if (self.path is None) == (self.hub is None):
            raise ValueError("give exactly one of path and hub")
        return self
