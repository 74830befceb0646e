"""What the catalogue entries of all decoders have in common."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from pydantic import Field, create_model

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.forms import Constrain
from branchwise.records import Record

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource
    from branchwise.decoding.requests import Sampling


class DecoderSettings(Record):
    """A decoder's settings, which verbs it offers, and how it is made."""

    offers: ClassVar[frozenset[Verb]]
    """Verbs that strategies may use; a strategy that needs more is refused when the config is read."""

    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    @property
    def is_sampled(self) -> bool:
        """Whether tokens are drawn, so that equal prompts have different answers."""
        return False

    @property
    def holds_to(self) -> Constrain | None:
        """What answers are held to, if to anything."""
        return None

    @property
    def allows_several(self) -> bool:
        """Whether an answer that is held to a choice may be several letters."""
        return False

    def make(self, source: "ModelSource") -> Decoder:
        """The decoder around a model. `source.loaded` loads weights and tokenizer, `source.entry` says
        which model is meant; a decoder of a served model needs only that.
        """
        raise NotImplementedError


class SamplingEntry(Record):
    """How a token is drawn; each filter works on what the one before it has left, in this order."""

    temperature: float = Field(
        1.0, ge=0.001, le=1000, description="Logits are divided by it: 1 as the model has them."
    )
    top_k: int = Field(0, ge=0, description="Only so many tokens stay, the likeliest; 0: all.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Of these the fewest whose probabilities reach it; 1: all."
    )
    min_p: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Of these the ones at least so many times as likely as the first.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Each ask draws by a seed of its own, made of this one, the group, the prompt and "
        "the number of equal prompts before it.",
    )


class SampledSettings(DecoderSettings):
    """Settings of a decoder that computes here, and so draws by our own code."""

    sampling: SamplingEntry | None = Field(
        None, description="How tokens are drawn; see below. Null: the likeliest, always (greedy)."
    )

    @property
    def is_sampled(self) -> bool:
        """Whether tokens are drawn."""
        return self.sampling is not None

    def made_sampling(self) -> "Sampling | None":
        """`sampling` as decoders take it."""
        from branchwise.decoding.requests import Sampling

        return None if self.sampling is None else Sampling(**self.sampling.model_dump())


def record_of(name: str, options: type, base: type[Record] = Record, **inside: type[Record]) -> Any:
    """A record with the fields of a dataclass of options, for the config; `inside` are the records that
    stand for dataclasses within it.
    """
    hints = get_type_hints(options)
    made: dict[str, Any] = {}
    for one in fields(options):
        hint = inside.get(one.name, hints[one.name])
        default = inside[one.name]() if one.name in inside else one.default
        limit = {"ge": one.metadata["ge"]} if one.metadata["ge"] is not None else {}
        made[one.name] = (hint, Field(default, description=one.metadata["description"], **limit))
    return create_model(
        name, __base__=base, __doc__=options.__doc__ if base is Record else base.__doc__, **made
    )
