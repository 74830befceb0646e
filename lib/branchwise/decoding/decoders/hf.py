"""transformers `generate` in a config."""

from typing import TYPE_CHECKING, ClassVar, Literal

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.decoders.base import DecoderSettings

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource


class HFEntry(DecoderSettings):
    """transformers `generate` on a left-padded batch: the reference."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask"})

    kind: Literal["hf"]

    def make(self, source: "ModelSource") -> Decoder:
        """The reference decoder."""
        from branchwise.decoding.reference import HFDecoder

        loaded = source.loaded
        return HFDecoder(loaded.model, loaded.chat.tokenizer)
