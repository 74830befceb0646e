"""The tree decoder in a config."""

from typing import TYPE_CHECKING, ClassVar, Literal

from branchwise.decoding.contract import BranchingDecoder, Verb
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.options import TreeOptions

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource


class TreeEntry(TreeOptions, DecoderSettings):
    """The tree decoder."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask", "fork", "join", "hook"})

    kind: Literal["tree"]

    def make(self, source: "ModelSource") -> BranchingDecoder:
        """The tree engine with these options."""
        from branchwise.decoding.engine import TreeEngine

        options = {name: getattr(self, name) for name in TreeOptions.model_fields}
        loaded = source.loaded
        return TreeEngine(loaded.model, loaded.chat.tokenizer, **options)
