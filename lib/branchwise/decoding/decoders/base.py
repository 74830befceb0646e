"""What the catalogue entries of all decoders have in common."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from pydantic import Field, create_model

from branchwise.decoding.contract import Decoder, Verb
from branchwise.records import Record

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource


class DecoderSettings(Record):
    """A decoder's settings, which verbs it offers, and how it is made."""

    offers: ClassVar[frozenset[Verb]]
    """Verbs that strategies may use; a strategy that needs more is refused when the config is read."""

    label: str | None = Field(None, description="Name in tables and figures; default: the key.")

    def make(self, source: "ModelSource") -> Decoder:
        """The decoder around a model. `source.loaded` loads weights and tokenizer, `source.entry` says
        which model is meant; a decoder of a served model needs only that.
        """
        raise NotImplementedError


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
