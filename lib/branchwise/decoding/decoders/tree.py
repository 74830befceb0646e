"""The tree decoder in a config."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from branchwise.decoding.contract import BranchingDecoder, Verb
from branchwise.decoding.decoders.base import DecoderSettings, record_of
from branchwise.decoding.options import Grid2D, TreeOptions

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource


class _Tree(DecoderSettings):
    """The tree decoder."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask", "fork", "join", "hook"})

    kind: Literal["tree"]

    def make(self, source: "ModelSource") -> BranchingDecoder:
        """The tree engine with these options."""
        from branchwise.decoding.engine import TreeEngine

        options: dict[str, Any] = {name: getattr(self, name) for name in TreeOptions.__annotations__}
        options["grid"] = Grid2D(**options["grid"].model_dump())
        loaded = source.loaded
        return TreeEngine(loaded.model, loaded.chat.tokenizer, **options)


GridEntry = record_of("GridEntry", Grid2D)
"""`grid` of the entry."""
TreeEntry = record_of("TreeEntry", TreeOptions, _Tree, grid=GridEntry)
"""The catalogue entry: `kind: tree` and the options."""
TreeEntry.__module__ = GridEntry.__module__ = __name__
