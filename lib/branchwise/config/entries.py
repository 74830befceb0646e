"""Types of catalogue entries: what a name in a config stands for."""

from datetime import date
from typing import Annotated, Literal, Union

from pydantic import Field, model_validator

from branchwise.data.sources import SOURCES
from branchwise.data.types import Record, Scorer
from branchwise.data.worlds.groups import WorldsSpec
from branchwise.decoding.models.templates import FIXED_DATE
from branchwise.dependencies.entries import DependencyEntry
from branchwise.prompts.rendering import PromptStyle

Verb = Literal["ask", "fork", "join"]
"""What a strategy may need of a decoder: whole prompts, or branches inside one sequence."""


class WorldsDataset(WorldsSpec, PromptStyle):
    """Made worlds: nothing is downloaded, every answer and dependency is known."""

    source: Literal["worlds"]
    scorer: Scorer = Field("squad", description="Whose metrics the answers are scored by.")


DatasetEntry = Annotated[
    Union[WorldsDataset, *SOURCES.values()],
    Field(discriminator="source"),
]


class ModelEntry(Record):
    """A local folder or a hub id, in the format of transformers."""

    path: str | None = Field(None, description="Local folder, relative to the repository.")
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
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    @model_validator(mode="after")
    def _one_place(self) -> "ModelEntry":
        if (self.path is None) == (self.hub is None):
            raise ValueError("give exactly one of path and hub")
        return self


class StrategyEntry(Record):
    """How a group is asked: a module of branchwise/strategies and what it needs."""

    module: str = Field(description="Module in lib/branchwise/strategies.")
    needs: tuple[Verb, ...] = Field(("ask",), description="What the decoder must offer.")
    dependencies: str | None = Field(
        None, description="Name in the catalogue of dependencies: which question waits for which."
    )
    label: str | None = Field(None, description="Name in tables and figures; default: the key.")


class TreeEntry(Record):
    """The tree decoder."""

    kind: Literal["tree"]
    kernel: Literal["auto", "dense", "cascade", "flex"] = Field(
        "auto",
        description="How attention is computed; auto: the fastest of a short self-test, named in "
        "run.json.",
    )
    positions: Literal["path", "shared", "grid2d"] = Field(
        "path",
        description="path: a child starts at its parent's end; shared: the children of a fork end "
        "together; grid2d: path along one axis, the branch along another.",
    )
    grid_stride: int = Field(32, ge=0, description="grid2d: x between neighbouring children.")
    grid_channels: tuple[int, ...] | None = Field(
        None, description="grid2d: rotary channels that know the branch; default: the slowest quarter."
    )
    grid_axis: Literal["interleaved", "x"] = Field(
        "interleaved", description="grid2d: every second of these channels turns with x, or all."
    )
    grid_combine: Literal["add", "replace"] = Field(
        "add", description="grid2d: such a channel turns with y + x, or with x alone."
    )
    packed_weights: bool | None = Field(
        None, description="CPU: weights packed for few rows; null: where a self-test finds it faster."
    )
    compile_mode: Literal["default", "reduce-overhead"] | None = Field(
        None,
        description="torch.compile the decoding steps, in this mode (a minute at first; reduce-overhead: "
        "CUDA graphs on a GPU); null: run them as written.",
    )
    max_cache_tokens: int | None = Field(
        None, ge=1, description="Tokens in the cache, at most; branches over it wait."
    )
    max_step_tokens: int = Field(4096, ge=1, description="Tokens in one forward pass, at most.")
    label: str | None = None

    @property
    def offers(self) -> frozenset[Verb]:
        """Verbs that strategies may use on this decoder."""
        return frozenset({"ask", "fork", "join"})


class HFEntry(Record):
    """transformers `generate` on a left-padded batch: the reference."""

    kind: Literal["hf"]
    label: str | None = None

    @property
    def offers(self) -> frozenset[Verb]:
        """Verbs that strategies may use on this decoder."""
        return frozenset({"ask"})


DecoderEntry = Annotated[TreeEntry | HFEntry, Field(discriminator="kind")]


class JudgeEntry(Record):
    """An LLM that grades answers, on any OpenAI-compatible server."""

    model: str = Field(description="The judge's name on its server.")
    base_url: str = Field("https://api.openai.com/v1", description="Address of the server.")
    key_variable: str = Field(
        "OPENAI_API_KEY", description="Environment variable that holds the key; never the key itself."
    )
    rubric: Literal["four", "single"] = Field(
        "four",
        description="four: fluency, relevance, completeness, proficiency; single: one score. 1 to 5.",
    )
    output: Literal["json_schema", "json_object", "text"] = Field(
        "json_schema", description="How far the server can hold its replies to JSON."
    )
    max_tokens: int = Field(512, ge=16, description="Tokens of a verdict.")
    timeout_s: float = Field(60, gt=0, description="Of one request.")
    max_attempts: int = Field(5, ge=1, description="Of one request; waits grow between them.")
    parallel: int = Field(8, ge=1, description="Requests under way at once.")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, where a key is rarely wanted."""
        host = self.base_url.partition("://")[2]
        return host.startswith(("localhost", "127.0.0.1", "[::1]"))


class Catalogues(Record):
    """Everything that has a name. An experiment may add entries of its own under `define`."""

    datasets: dict[str, DatasetEntry] = {}
    models: dict[str, ModelEntry] = {}
    strategies: dict[str, StrategyEntry] = {}
    decoders: dict[str, DecoderEntry] = {}
    dependencies: dict[str, DependencyEntry] = {}


def missing_verbs(strategy: StrategyEntry, decoder: DecoderEntry) -> list[Verb]:
    """What `strategy` needs and `decoder` does not offer; empty where the two go together."""
    return sorted(set(strategy.needs) - decoder.offers)
