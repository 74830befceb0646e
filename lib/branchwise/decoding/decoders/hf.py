"""transformers `generate` in a config."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from branchwise.decoding.contract import Decoder, Verb
from branchwise.decoding.decoders.base import SampledSettings

if TYPE_CHECKING:
    from pathlib import Path

    from branchwise.decoding.models.source import ModelSource


class HFEntry(SampledSettings):
    """transformers `generate` on a left-padded batch: the reference."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask"})

    kind: Literal["hf"]

    @model_validator(mode="before")
    @classmethod
    def _no_form(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("constrain") is not None:
            raise ValueError("kind hf holds no answers to a form (constrain): use kind tree for that")
        return content

    def make(self, source: "ModelSource", replies: "Path | None" = None) -> Decoder:
        """The reference decoder."""
        from branchwise.decoding.reference import HFDecoder

        loaded = source.loaded
        decoder = HFDecoder(loaded.model, loaded.chat.tokenizer)
        decoder.sampling = self.made_sampling()
        return decoder
