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
        "sequence; hook, changes of the logits; mix, hidden states mixed between branches; peek, "
        "branches that see what the others have said before.",
    )
    asks: tuple[str, ...] = Field(
        (), description="Roles beside the answerer that it asks: planner, paraphraser."
    )
    training: str | None = Field(
        None,
        description="Name in the catalogue of trainings: what the model is trained by for this strategy. "
        "The checkpoint is made where it is missing.",
    )
    checkpoint: str | None = Field(
        None,
        description="Folder of a checkpoint for the model, trained before (`branchwise train`), or of an "
        "adapter in peft's format; safetensors, relative to the file that says so.",
    )
    dependencies: str | None = Field(
        None, description="Name in the catalogue of dependencies: which question waits for which."
    )
    paraphrases: str | None = Field(
        None,
        description="Name in the catalogue of paraphrases: who makes the other wordings of questions; "
        "default: those that the data give.",
    )
    confidence: str | None = Field(
        None,
        description="Name in the catalogue of confidence: how sure the model is of its answer to each "
        "wording. (The model as it is, without a `checkpoint`.)",
    )
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    def of_stage(self, stage: str) -> str | None:
        """The entry of a stage before answering (see `branchwise.stages`) that it uses, if any."""
        return getattr(self, stage)
