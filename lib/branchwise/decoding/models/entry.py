"""The catalogue entry of a model."""

from datetime import date
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, model_validator

from branchwise.decoding.models.templates import FIXED_DATE
from branchwise.records import Record


class ModelEntry(Record):
    """A local folder or a hub id, in the format of transformers, or a GGUF file."""

    path: str | None = Field(
        None,
        description="Local folder; relative to the file that says so, in a catalogue to the repository.",
    )
    hub: str | None = Field(None, description="Hub id, where no path is given.")
    revision: str | None = Field(
        None, description="Hub revision; pin it (`branchwise doctor` says which one is there)."
    )
    gguf: str | None = Field(
        None,
        description="GGUF file: a local one (relative like `path`), or its name in `package` or `hub`. "
        "It is converted to float32 once and kept in `$BRANCHWISE_CACHE` (`~/.cache/branchwise`).",
    )
    package: str | None = Field(
        None,
        pattern=r"^[A-Za-z_]\w*$",
        description="Installed Python package that carries the file `gguf`, by its import name; none of "
        "its code is run.",
    )
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
        places = [place for place in (self.path, self.hub, self.package) if place is not None]
        if len(places) > 1 or (not places and self.gguf is None):
            raise ValueError(
                "give exactly one of path and hub, or gguf: a local file, or one in a package or hub"
            )
        if self.path is not None and self.gguf is not None:
            raise ValueError("path is a folder of transformers, gguf a file: give one of them")
        if self.package is not None and self.gguf is None:
            raise ValueError("package says where a GGUF file lies: name the file with gguf")
        if self.revision is not None and self.hub is None:
            raise ValueError("revision belongs to hub: give hub, or leave it out")
        if self.gguf is not None and places and not _is_inside(self.gguf):
            raise ValueError("beside package or hub, gguf is the name of a file in there")
        return self


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
