"""The catalogue entry of a strategy. Torch-free, since the config reads it."""

from typing import Any

from pydantic import Field

from branchwise.decoding.contract import Verb
from branchwise.records import Record


class StrategyEntry(Record):
    """How a group is asked: a module with a `strategy`, its options, and what it needs."""

    module: str = Field(
        description="Module in lib/branchwise/strategies, or a file of your own: my.py, or my.py:name "
        "for another function in it than `strategy`; relative to the file that says so."
    )
    options: dict[str, Any] = Field(
        {}, description="Options of the strategy; see the strategies' own tables below."
    )
    needs: tuple[Verb, ...] = Field(
        ("ask",),
        description="What the decoder must offer: ask, whole prompts; fork and join, branches in one "
        "sequence; hook, changes of the logits; mix, hidden states mixed between branches.",
    )
    asks: tuple[str, ...] = Field(
        (), description="Roles beside the answerer that it asks: planner, paraphraser."
    )
    checkpoint: str | None = Field(
        None,
        description="Folder of a trained adapter (peft's format, safetensors) for the model; relative to "
        "the file that says so.",
    )
    dependencies: str | None = Field(
        None, description="Name in the catalogue of dependencies: which question waits for which."
    )
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")
