"""What the catalogue entries of all decoders have in common."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_type_hints

from pydantic import Field, create_model, model_validator

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.forms import Constrain, Form, problem_of
from branchwise.decoding.models.entry import ModelEntry
from branchwise.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from branchwise.decoding.models.source import ModelSource
    from branchwise.decoding.requests import Sampling


class DecoderSettings(Record):
    """A decoder's settings, which verbs it offers, and how it is made."""

    offers: ClassVar[frozenset[Verb]]
    """Verbs that strategies may use; a strategy that needs more is refused when the config is read."""

    is_remote: ClassVar[bool] = False
    """Whether somebody else computes: then each request costs, and its time is that of the asking."""
    takes_trained: ClassVar[Literal["all", "adapters", "nothing"]] = "all"
    """Which parts of a checkpoint it answers by."""
    not_computed: ClassVar[frozenset[str]] = frozenset()
    """Fields that no answer depends on, beside `label`."""

    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    def problem_with(self, name: str, model: ModelEntry) -> tuple[str, str] | None:
        """Why it cannot decode a model, and what to do; None where it can."""
        if model.is_here:
            return None
        return (
            f"model {name} is known by its name on a server alone",
            "choose a decoder of kind api, or say where its weights lie: path, hub or gguf",
        )

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

    def make(self, source: "ModelSource", replies: "Path | None" = None) -> Decoder:
        """The decoder around a model. `source.loaded` loads weights and tokenizer, `source.entry` says
        which model is meant; a decoder of a served model needs only that. `replies`: a file in which one
        may keep what it was told.
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
    """Settings of a decoder that can draw."""

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


class FormSettings(SampledSettings):
    """Settings of a decoder that can hold answers to a form."""

    constrain: Constrain | None = Field(
        None,
        description="What answers are held to. choice: a letter of the options, in the answer format of "
        'the prompt style; json: {"answer": "..."}, of n questions in one prompt a list of n objects '
        "with ids; regex: `pattern`; null: nothing.",
    )
    pattern: str | None = Field(
        None,
        description="regex: what all that is said to a prompt with questions is to match, in the syntax "
        "of Rust's regex (no look-around, no back-references).",
    )
    several: bool = Field(
        False, description='choice: several letters may be right, and are said as "A, C".'
    )

    @model_validator(mode="after")
    def _form_is_sound(self) -> "FormSettings":
        if (self.constrain == "regex") != (self.pattern is not None):
            raise ValueError("`pattern` belongs to `constrain: regex`, and that to it: give both or none")
        if self.several and self.constrain != "choice":
            raise ValueError("`several` belongs to `constrain: choice`: leave it out")
        if self.pattern is not None and (problem := problem_of(self.pattern)):
            raise ValueError(f"the pattern {self.pattern!r} {problem}: mend it")
        return self

    @property
    def holds_to(self) -> Constrain | None:
        """What answers are held to, if to anything."""
        return self.constrain

    @property
    def allows_several(self) -> bool:
        """Whether an answer that is held to a choice may be several letters."""
        return self.several

    def made_form(self) -> Form | None:
        """What answers are held to, as decoders take it."""
        return None if self.constrain is None else Form(self.constrain, self.pattern, self.several)


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
