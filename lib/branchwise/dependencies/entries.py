"""Catalogue entries of dependencies: which generator, and how its edges are chosen from."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from branchwise.dependencies.selection import PRESETS, Preset, Selection
from branchwise.records import Record

SelectionField = Annotated[
    Preset | Selection,
    Field(
        description="A preset's name, or cost_weight, min_confidence, max_needs, max_needed_by, "
        "max_tokens, answer_tokens and overhead_tokens."
    ),
]

PUBLISHED_THRESHOLD = 0.02
"""Of a pair's share of attention. In groups of a dozen questions and fewer nearly every pair has it."""


class ControlEntry(Record):
    """Given, not found: no edges, the data's own, as many at random, or the data's turned round."""

    generator: ClassVar[str] = "control"

    kind: Literal["none", "gold", "random", "reverse"]
    seed: int = Field(0, ge=0, description="random: another seed, other edges.")

    @property
    def needs_stated(self) -> bool:
        """Whether it is nothing where the data state no dependencies."""
        return self.kind != "none"

    @property
    def selection(self) -> Selection:
        """All of them."""
        return PRESETS["plain"]


class _Chosen(Record):
    """What generators that find edges have in common: a rule to choose among them."""

    selection_rule: SelectionField = Field("comparison", alias="selection")

    @property
    def selection(self) -> Selection:
        """The rule that edges are chosen by."""
        rule = self.selection_rule
        return rule if isinstance(rule, Selection) else PRESETS[rule]


class HeuristicEntry(_Chosen):
    """Read off the words of the questions: references, aggregates, shared names."""

    generator: ClassVar[str] = "heuristic"

    kind: Literal["heuristic"]


class LlmEntry(_Chosen):
    """Said by the cell's own model, asked before it answers; where its reply cannot be read, the
    heuristic's edges stand in, and the result says so.
    """

    generator: ClassVar[str] = "llm"

    kind: Literal["llm"]
    reply: Literal["edges", "order"] = Field(
        "edges", description="edges: which question needs which; order: all in a row, a chain."
    )
    sees_passage: bool = Field(False, description="Whether the passage stands above the questions.")
    constrained: bool = Field(True, description="Hold the reply to its form, token by token.")
    max_new_tokens: int = Field(256, ge=8, description="Budget of the reply.")


class AttentionEntry(_Chosen):
    """Read off an encoder's attention between the questions, all in one pass."""

    generator: ClassVar[str] = "attention"

    kind: Literal["attention"]
    encoder: str | None = Field(
        None,
        description="Folder or hub id; minilm: the one of the extra `minilm`; default: the experiment's "
        "`roles.encoder`, else bert-base-uncased.",
    )
    rule: Literal["relative", "absolute"] = Field(
        "relative",
        description="What the threshold is compared with: a pair's share of attention as a multiple of "
        "the mean share of the group's pairs, or, as published, that share itself.",
    )
    threshold: float = Field(
        1.25, ge=0, description="Least that makes an edge; absolute: 0.02 where none is given."
    )
    direction: Literal["needs", "published"] = Field(
        "needs", description="needs: i attends to j means that i needs j; published: that j needs i."
    )
    layers: tuple[int, ...] | None = Field(None, description="Layers, negative from the end; null: all.")
    head_pool: Literal["mean", "max"] = Field("mean", description="Over the heads of a layer.")
    layer_pool: Literal["mean", "max"] = Field("mean", description="Over the layers.")
    max_question_tokens: int = Field(64, ge=1, description="Tokens of a question that are read.")
    selection_rule: SelectionField = Field("attention", alias="selection")

    @property
    def selection(self) -> Selection:
        """The rule that edges are chosen by; a preset takes over the absolute threshold, as published.
        Under the relative rule confidence is no share, and all that is below is gone already.
        """
        rule = super().selection
        if not isinstance(self.selection_rule, str):
            return rule
        least = self.threshold if self.rule == "absolute" else 0.0
        return rule.model_copy(update={"min_confidence": least})

    @model_validator(mode="before")
    @classmethod
    def _published_threshold(cls, data: Any) -> Any:
        """A share is never 1.25: the absolute rule has a default of its own."""
        absolute = isinstance(data, dict) and data.get("rule") == "absolute"
        return {"threshold": PUBLISHED_THRESHOLD, **data} if absolute else data


DependencyEntry = Annotated[
    ControlEntry | HeuristicEntry | LlmEntry | AttentionEntry, Field(discriminator="kind")
]
