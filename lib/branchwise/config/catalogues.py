"""Everything that has a name in a config: entries of all catalogues, each from the room it describes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from branchwise.config.shipped import shipped
from branchwise.data.entries import DatasetEntry
from branchwise.decoding.contract import Verb
from branchwise.decoding.decoders import DECODERS
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.models.entry import ModelEntry
from branchwise.dependencies.entries import DependencyEntry
from branchwise.prompts.entry import StyleEntry
from branchwise.records import Record
from branchwise.strategies.entry import StrategyEntry
from branchwise.training.recipes import TrainingEntry
from branchwise.wordings.entries import GeneratedEntry, SelfAgreementEntry

AXES = {"dataset": "datasets", "model": "models", "strategy": "strategies", "decoder": "decoders"}
"""Axes of a grid, and the catalogues that they choose from."""
CATALOGUES = (*AXES.values(), "dependencies", "paraphrases", "confidence", "trainings", "styles")

PATHS = {
    "datasets": ("path",),
    "models": ("path", "gguf"),
    "strategies": ("module", "checkpoint"),
    "trainings": ("texts",),
    "styles": ("shots_path",),
}
"""Keys of entries that name files: relative to the file that says so. (A module may be one of the
library, and a GGUF file one in a package or on the hub.)"""

PUBLISHED = {
    "full_batch": "all_in_one (one prompt) or batch (a padded batch): the name was used for both",
    "parallel": "collab_llm",
    "parallel_bert": "collab_attention_published",
    "collab_bert": "collab_attention_published",
    "dependency_parallel": "collab_gold_layers with the dependencies that you want, or collab_llm",
    "parallel_ideal": "collab_llm; its ideal latency is in every table",
    "parallel_bert_ideal": "collab_attention_published; its ideal latency is in every table",
}
"""What published programs call a strategy -> what it is called here."""

if TYPE_CHECKING:
    DecoderEntry = DecoderSettings
else:
    # The types of decoders are found when the library starts.
    DecoderEntry = Annotated[Union[*DECODERS.values()], Field(discriminator="kind")]


class Catalogues(Record):
    """Everything that has a name. An experiment may add entries of its own under `define`."""

    datasets: dict[str, DatasetEntry] = {}
    models: dict[str, ModelEntry] = {}
    strategies: dict[str, StrategyEntry] = {}
    decoders: dict[str, DecoderEntry] = {}
    dependencies: dict[str, DependencyEntry] = {}
    paraphrases: dict[str, GeneratedEntry] = {}
    confidence: dict[str, SelfAgreementEntry] = {}
    trainings: dict[str, TrainingEntry] = {}
    styles: dict[str, StyleEntry] = {}


def published_file(name: str) -> Path:
    """The file of published numbers of this name."""
    return shipped(f"resources/published/{name}.yaml")


def published_names() -> list[str]:
    """Names of all files of published numbers."""
    return sorted(path.stem for path in published_file("any").parent.glob("*.yaml"))


def missing_verbs(strategy: StrategyEntry, decoder: DecoderSettings) -> Sequence[Verb]:
    """What `strategy` needs and `decoder` does not offer; empty where the two go together."""
    return sorted(set(strategy.needs) - decoder.offers)
