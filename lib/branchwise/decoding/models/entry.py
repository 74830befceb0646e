"""The catalogue entry of a model."""

from datetime import date
from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, model_validator

from branchwise.decoding.models.templates import FIXED_DATE
from branchwise.records import Record
from branchwise.serving.prices import Price


class ModelEntry(Record):
    """A local folder or a hub id, in the format of transformers, or a GGUF file; or one on a server."""

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
    served: str | None = Field(
        None, description="Its name on servers, for decoders of kind api; default: the hub id."
    )
    served_as: str | None = Field(
        None,
        description="Its name in a server's replies; default: one that holds the name asked for. A reply "
        "by another name counts as a fault.",
    )
    price: Price | None = Field(None, description="What servers take for it; see below.")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="auto: float32 on a CPU, else what the checkpoint was saved in."
    )
    device: str = Field("auto", description="auto: cuda, then mps, then cpu; or a torch device.")
    device_map: Literal["auto", "balanced", "balanced_low_0", "sequential"] | None = Field(
        None,
        description="For a model larger than one GPU: how accelerate lays its layers on all GPUs that a "
        "cell has (`gpus` of the experiment), in place of `device`.",
    )
    thinking: bool = Field(
        False,
        description="Whether the model may think before it answers (`enable_thinking` of its chat "
        "template); the thought counts against max_new_tokens and is no part of the answer. Where a "
        "server writes prompts its template decides, or `extra` of the decoder.",
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
        if len(places) > 1 or not (places or self.gguf or self.served):
            raise ValueError(
                "give exactly one of path and hub, or gguf: a local file, or one in a package or hub; or "
                "served: its name on a server"
            )
        if self.path is not None and self.gguf is not None:
            raise ValueError("path is a folder of transformers, gguf a file: give one of them")
        if self.package is not None and self.gguf is None:
            raise ValueError("package says where a GGUF file lies: name the file with gguf")
        if self.revision is not None and self.hub is None:
            raise ValueError("revision belongs to hub: give hub, or leave it out")
        if self.device_map is not None and self.device != "auto":
            raise ValueError("device_map lays the layers on all GPUs, device on one: give one of them")
        if self.gguf is not None and places and not _is_inside(self.gguf):
            raise ValueError("beside package or hub, gguf is the name of a file in there")
        return self

    @property
    def server_name(self) -> str | None:
        """What servers call it; None where nobody has said."""
        return self.served or self.hub

    @property
    def is_here(self) -> bool:
        """Whether it says where weights and tokenizer lie."""
        return any(place is not None for place in (self.path, self.hub, self.gguf))


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts
