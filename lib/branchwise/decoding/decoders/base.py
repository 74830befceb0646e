"""What the catalogue entries of all decoders have in common."""

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

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
