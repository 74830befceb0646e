"""Recipes: what is trained of a model, on what, and how; entries of `config/catalogues/trainings.yaml`.

Torch-free, since the config reads them. The tiny model's own recipe, which makes a model and no
checkpoint, is `branchwise.training.recipe`.
"""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from branchwise.decoding.decoders.tree import GridEntry
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.options import Positions, layout_of
from branchwise.records import Record

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LoraEntry(Record):
    """Low-rank adapters beside the model's matrices (LoRA, arXiv 2106.09685), by peft."""

    rank: int = Field(16, ge=1, description="r, the rank.")
    alpha: float = Field(32, gt=0, description="What is added counts alpha / r.")
    dropout: float = Field(0.05, ge=0, lt=1)
    targets: tuple[str, ...] = Field(
        PROJECTIONS, min_length=1, description="Names of the matrices that get one."
    )
    merged: bool = Field(
        True,
        description="Whether it is added into the weights when used (then it costs nothing), or computed "
        "beside them.",
    )


class BaseRecipe(Record):
    """What all recipes have in common."""

    datasets: tuple[str, ...] = Field(
        (), description="Data sets of the catalogue that are trained on, all of their groups."
    )
    held_out: tuple[str, ...] = Field(
        (),
        description="Data sets that are looked at while training: none of their passages may be among "
        "those trained on. The weights that are kept are those of the best look.",
    )
    steps: int = Field(200, ge=1, description="Steps of the optimiser.")
    rows_per_step: int = Field(
        4,
        ge=1,
        description="Rows of `row_tokens` positions in one pass, dealt out to all processes: a multiple "
        "of their number.",
    )
    accumulate: int = Field(1, ge=1, description="Passes whose gradients make one step.")
    row_tokens: int = Field(
        1024,
        ge=64,
        description="Positions of a row, into which groups are packed; a longer one is left out.",
    )
    rate: float = Field(1e-4, gt=0, description="Learning rate at its highest (AdamW).")
    last_rate: float = Field(1e-6, ge=0, description="At the end: a cosine leads there.")
    warmup: float = Field(0.03, ge=0, le=1, description="Share of the steps in which it rises to that.")
    weight_decay: float = Field(0.01, ge=0)
    clip: float = Field(1.0, gt=0, description="Largest norm of the gradient of all that trains.")
    look_every: int = Field(50, ge=1, description="Steps between two looks at the held-out groups.")
    patience: int | None = Field(
        None, ge=1, description="Stop after so many looks without a better one; null: never."
    )
    save_every: int = Field(50, ge=1, description="Steps between two checkpoints to go on from.")
    precision: Literal["fp32", "bf16"] = Field(
        "fp32", description="bf16: passes in bfloat16 (autocast); what trains stays in float32."
    )
    recompute: bool = Field(
        False, description="Layers are computed anew for their gradients: less memory, more time."
    )
    seed: int = Field(0, ge=0)
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    @model_validator(mode="after")
    def _looks(self) -> "BaseRecipe":
        has_looks = self.held_out or getattr(self, "kind", None) == "columns"
        if self.patience is not None and not has_looks:
            raise ValueError("patience counts looks at held-out groups: give `held_out`, or leave it out")
        return self

    @property
    def lora_entry(self) -> LoraEntry | None:
        """The adapter that is trained, if one is."""
        return None

    @property
    def mixer_entry(self) -> MixerEntry | None:
        """The mixers that are trained, if any are."""
        return None

    @property
    def trains_head(self) -> bool:
        """Whether the output matrix is trained."""
        return False

    @property
    def trains_all(self) -> bool:
        """Whether every weight of the model is trained."""
        return False

    @property
    def mixes(self) -> bool:
        """Whether what is trained mixes branches."""
        return self.mixer_entry is not None


class _Grouped(BaseRecipe):
    datasets: tuple[str, ...] = Field(
        min_length=1,
        description="Data sets of the catalogue that are trained on, all of their groups.",
    )


class HeadRecipe(_Grouped):
    """The output matrix alone (published as `finetuned`); one shared with the embeddings is parted from
    them first.
    """

    kind: Literal["head"]

    @property
    def trains_head(self) -> bool:
        return True


class _WithLora(Record):
    lora: LoraEntry = LoraEntry()

    @property
    def lora_entry(self) -> LoraEntry:
        return self.lora


class _WithMixer(Record):
    mixer: MixerEntry = MixerEntry()
    head: bool = Field(True, description="Whether the output matrix is trained, too; false: `_frozen`.")

    @property
    def mixer_entry(self) -> MixerEntry:
        return self.mixer

    @property
    def trains_head(self) -> bool:
        return self.head


class LoraRecipe(_WithLora, _Grouped):
    """An adapter (published as `lora`)."""

    kind: Literal["lora"]


class LoraHeadRecipe(_WithLora, _Grouped):
    """An adapter and the output matrix (published as `lora_lmhead`)."""

    kind: Literal["lora_head"]

    @property
    def trains_head(self) -> bool:
        return True


class MixerRecipe(_WithMixer, _Grouped):
    """Mixers between the branches of a group (published as `collab_hidden`)."""

    kind: Literal["mixer"]
    base: Literal["frozen", "trained"] = Field(
        "frozen", description="Whether all weights of the model are trained with it."
    )

    @property
    def trains_all(self) -> bool:
        return self.base == "trained"


class LoraMixerRecipe(_WithLora, _WithMixer, _Grouped):
    """Mixers, an adapter and the output matrix (published as `lora_crossbatch`)."""

    kind: Literal["lora_mixer"]


class Placed(Record):
    """Where the branches of a document stand, and whether they see each other."""

    positions: Positions = Field("path", description="As of the tree decoder that the branches are for.")
    grid: GridEntry = GridEntry()
    peek: bool = Field(
        False,
        description="Whether branches see each other's earlier positions. Their questions end together "
        "then: `positions` shared or grid2d_shared.",
    )

    @model_validator(mode="after")
    def _peek_together(self) -> "Placed":
        if self.peek and layout_of(self.positions) != "shared":
            raise ValueError(
                f"branches that peek end their questions together: positions is {self.positions}, and is "
                "to be shared or grid2d_shared"
            )
        return self


class _LoraOrFull(Record):
    full: bool = Field(False, description="Whether all weights are trained, not an adapter.")
    lora: LoraEntry = LoraEntry()

    @property
    def lora_entry(self) -> LoraEntry | None:
        return None if self.full else self.lora

    @property
    def trains_all(self) -> bool:
        return self.full


class BranchesRecipe(_LoraOrFull, _Grouped, Placed):
    """Packed trees: a context and the branches of its questions, each token learned from the one before
    it in its own branch.
    """

    kind: Literal["branches"]


class ColumnsRecipe(_LoraOrFull, BaseRecipe, Placed):
    """Plain text: of each document the first paragraphs are the trunk, the others its branches, all of it
    learned (published as columnar pre-training).
    """

    kind: Literal["columns"]
    texts: str | None = Field(
        None,
        description="File of texts: `.txt`, two blank lines between two, or `.jsonl` with `text`; "
        "relative to the file that says so. The last tenth of them is looked at.",
    )
    hub: str | None = Field(None, description="Data set of the hub with a column `text`.")
    hub_config: str | None = None
    revision: str | None = None
    most_texts: int = Field(10_000, ge=2, description="Texts that are read, at most.")
    trunk: int = Field(2, ge=1, description="Paragraphs of the trunk; half of all, where that is more.")
    full: bool = Field(True, description="Whether all weights are trained, not an adapter.")

    @model_validator(mode="after")
    def _one_source(self) -> "ColumnsRecipe":
        if (self.texts is None) == (self.hub is None):
            raise ValueError("give texts, a local file, or hub: one of them")
        if self.datasets or self.held_out:
            raise ValueError("columns are made of `texts` or `hub`, not of data sets with questions")
        return self


Recipe = (
    HeadRecipe
    | LoraRecipe
    | LoraHeadRecipe
    | MixerRecipe
    | LoraMixerRecipe
    | BranchesRecipe
    | ColumnsRecipe
)
RECIPES: tuple[type[BaseRecipe], ...] = get_args(Recipe)
"""All of them."""


def kind_of(recipe: type[BaseRecipe]) -> str:
    """What a recipe's entries call it."""
    (kind,) = get_args(recipe.model_fields["kind"].annotation)
    return kind


TrainingEntry = Annotated[Recipe, Field(discriminator="kind")]
"""An entry of the catalogue of trainings."""
