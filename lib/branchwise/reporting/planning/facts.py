"""What a plan is made of beside the config: devices, sizes of models and lengths of texts, each with its
source (`resources/plan`). None of it is a field of an entry: no answer depends on it.
"""

from collections.abc import Mapping
from functools import cache
from typing import TypeVar

from pydantic import Field

from branchwise.config.mistakes import nearest, validate
from branchwise.config.shipped import shipped
from branchwise.config.yaml_files import read_yaml
from branchwise.decoding.models.entry import ModelEntry
from branchwise.errors import UserError
from branchwise.records import Record

R = TypeVar("R", bound=Record)

_BILLION = 1e9


class Device(Record):
    """A device at its best."""

    flop_per_s: float = Field(gt=0, description="Dense operations a second.")
    bytes_per_s: float = Field(gt=0, description="Bytes that are read a second.")
    memory_gb: float | None = Field(None, gt=0, description="Null: not looked at.")
    bytes_per_weight: int = Field(ge=1, description="Of the type that answers are made in.")
    launch_s: float = Field(ge=0, description="Least time of a layer in a pass, whatever is computed.")
    is_gpu: bool
    source: str


class ModelSize(Record):
    """How large a model is: parameters in billions, and the shape of its attention."""

    billions: float = Field(gt=0)
    embedding: float = Field(0, ge=0, description="Billions of an input table that is no output matrix.")
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)

    @property
    def num_weights(self) -> float:
        """Weights that a pass reads and multiplies by."""
        return (self.billions - self.embedding) * _BILLION

    @property
    def flop_per_pair(self) -> int:
        """Operations of attention for a query and a key, all layers."""
        return 4 * self.layers * self.heads * self.head_dim

    def key_bytes(self, bytes_per_weight: int) -> int:
        """Bytes of a token's keys and values, all layers."""
        return 2 * self.layers * self.kv_heads * self.head_dim * bytes_per_weight


class SetLengths(Record):
    """Mean characters of a data set's texts, as counted in what `of` names."""

    of: str
    characters_per_token: float = Field(gt=0)
    context: float = Field(0, ge=0, description="Of a passage that a group shares.")
    own_context: float = Field(0, ge=0, description="Of a passage that a question has for itself.")
    question: float = Field(gt=0, description="With its options.")
    answer: float = Field(gt=0, description="Of the first gold.")
    passages: dict[int, int] = Field({}, description="Questions of a passage -> how many have so many.")
    questions: int | None = Field(None, ge=1, description="Of a set without passages.")
    whole: str | None = Field(None, description="The split that this is all of; null: of a sample.")
    groupings: tuple[str, ...] = Field((), description="Those that it is true of; none: all.")
    reply: float | None = Field(None, gt=0, description="Tokens of an answer in steps.")


class Lengths(Record):
    """All of them, and how many characters a token has, by language."""

    characters_per_token: dict[str, float]
    sets: dict[str, SetLengths]

    def per_token(self, language: str) -> float:
        """Characters of a token of a language."""
        return self.characters_per_token.get(language, self.characters_per_token["other"])


def _by_name(kind: type[R], name: str) -> Mapping[str, R]:
    """A file whose keys are names. Raises UserError for one that is not right."""
    path = shipped(f"resources/plan/{name}.yaml")
    return {key: validate(kind, value, f"{path}: {key}") for key, value in read_yaml(path).items()}


@cache
def devices() -> Mapping[str, Device]:
    """What `--device` may name."""
    return _by_name(Device, "devices")


def device(name: str) -> Device:
    """A device by its name. Raises UserError for one that is not known."""
    if name not in devices():
        raise UserError(
            f"device {name} is not known",
            f"{nearest(name, list(devices()))}, or add it to resources/plan/devices.yaml",
        )
    return devices()[name]


@cache
def model_sizes() -> Mapping[str, ModelSize]:
    """Sizes by hub id, or by name in the catalogue."""
    return _by_name(ModelSize, "models")


def size_of_model(name: str, entry: ModelEntry) -> ModelSize | None:
    """The stated size of a model, by its hub id or, where it has none, its name; None where none is."""
    return model_sizes().get(entry.hub or name)


@cache
def lengths() -> Lengths:
    """Lengths of texts. Raises UserError for a file that is not right."""
    path = shipped("resources/plan/lengths.yaml")
    return validate(Lengths, read_yaml(path), str(path))
