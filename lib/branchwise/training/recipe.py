"""The recipe of the tiny model, typed: what it is, what it reads, and how it is optimised."""

from typing import Literal

from pydantic import Field, model_validator

from branchwise.data.worlds.groups import Kind
from branchwise.records import Record


class Shape(Record):
    """Architecture of the tiny Qwen3 (all sizes are widths or counts)."""

    num_layers: int = Field(6, ge=2, description="The first two start out looking back.")
    hidden_size: int = Field(128, ge=8)
    num_heads: int = Field(4, ge=1)
    head_dim: int = Field(32, ge=8)
    intermediate_size: int = Field(384, ge=8)
    max_positions: int = Field(4096, ge=256)
    rope_theta: float = Field(10000.0, gt=0)


Layout = Literal[
    "single",
    "turns",
    "everything",
    "known",
    "pairs",
    "letters",
    "options",
    "restated",
    "tally",
    "outlined",
    "points",
]
"""How a training document asks: one question a branch; turn by turn; all at once; with an earlier
answer as known; a drill (name-value pairs; options and their letters; choices that name their own
answer; facts told three times; how many live in each city); or profiles of people, written in one go and
as titles, branches and what joins them, or as a skeleton and its points."""


class Stage(Record):
    """One part of the curriculum. Weights are relative; they need not sum to one."""

    name: str
    layouts: dict[Layout, float]
    kinds: dict[Kind, float] = Field(description="Kinds of questions, by weight.")
    one_kind: dict[Kind, float] = Field(
        {},
        description="Share of all documents, by kind, whose questions are all of that kind, as those of "
        "an evaluated group often are. The others ask `kinds`, mixed.",
    )
    min_facts: int = Field(ge=2)
    max_facts: int = Field(ge=2)
    min_questions: int = Field(3, ge=1)
    max_questions: int = Field(8, ge=1)
    fitting_worlds: float = Field(
        0.0, ge=0, le=1, description="Share of worlds made to state what one of the kinds needs."
    )
    noisy_texts: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of contexts, and of questions, that lose and gain small words (of, the, is).",
    )
    city_worlds: float = Field(
        0.0, ge=0, le=1, description="Share of worlds made to state facts about cities, which are rare."
    )
    echoes: float = Field(
        0.3, ge=0, le=1, description="Share of choices that name their own answer: find its letter."
    )
    stated_only: float = Field(
        0.7,
        ge=0,
        le=1,
        description="Share of choices whose options are all stated in the text, as most of an evaluated "
        "one's are not.",
    )
    until: dict[str, float] = Field(
        {},
        description="Go on once each of these labels (layout:kind) has this share of right answers.",
    )
    max_steps: int | None = Field(None, ge=1, description="Go on after this many steps anyway.")

    @model_validator(mode="after")
    def _shares_fit(self) -> "Stage":
        shares = self.one_kind.values()
        # A hair's breadth of slack: .1 + .2 + .7 is more than one.
        if min(shares, default=0) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError("one_kind holds shares of all documents: none below 0, together at most 1")
        return self


class Run(Record):
    """One run of the optimisers, with its own warm-up, decay and curriculum."""

    num_steps: int = Field(ge=1)
    rows_per_step: int = Field(ge=1, description="Rows of row_tokens positions in one step.")
    row_tokens: int = Field(ge=64)
    matrix_lr: float = Field(0.02, gt=0, description="Muon, on the weight matrices.")
    other_lr: float = Field(0.003, gt=0, description="AdamW, on embeddings and gains.")
    warmup_steps: int = Field(60, ge=0)
    decay_share: float = Field(0.35, ge=0, le=1, description="Last part of the steps, lr to zero.")
    adds: tuple[str, ...] = Field(
        (), description="Words that the vocabulary gains before the run, each a token of its own."
    )
    stages: tuple[Stage, ...] = Field(min_length=1)


class TinyRecipe(Run):
    """Everything that decides the shipped weights; a change of it makes a new model.

    Its own fields as a Run are those of the first run, which starts from random weights.
    """

    kind: Literal["tiny"] = "tiny"
    seed: int = 0
    shape: Shape = Shape()
    checkpoint_steps: int = Field(200, ge=1)
    further: tuple[Run, ...] = Field(
        (),
        description="Runs after the first: each goes on from the finished weights of the one before, "
        "with optimisers, chance and curriculum of its own.",
    )

    def added(self, run_index: int) -> tuple[str, ...]:
        """Words that the vocabulary has gained by the time of a run."""
        return tuple(text for run in self.runs[: run_index + 1] for text in run.adds)

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs in their order."""
        return (self, *self.further)
