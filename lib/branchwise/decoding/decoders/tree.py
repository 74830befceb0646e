"""The tree decoder in a config."""

from typing import TYPE_CHECKING, Any, Literal

from branchwise.decoding.contract import BranchingDecoder, Verb
from branchwise.decoding.decoders.base import FormSettings, record_of
from branchwise.decoding.options import Grid2D, TreeOptions

if TYPE_CHECKING:
    from pathlib import Path

    from branchwise.decoding.models.source import ModelSource


class _Tree(FormSettings):
    """The tree decoder."""

    kind: Literal["tree"]

    @property
    def offers(self) -> frozenset[Verb]:  # type: ignore[override]
        """All verbs, but those that its kernel or torch.compile cannot."""
        found: set[Verb] = {"ask", "fork", "join", "hook"}
        if getattr(self, "kernel", None) not in ("cascade", "flex"):
            found.add("peek")
        if getattr(self, "compile_mode", None) is None:
            found.add("mix")
        return frozenset(found)

    def make(self, source: "ModelSource", replies: "Path | None" = None) -> BranchingDecoder:
        """The tree engine with these options."""
        from branchwise.decoding.engine import TreeEngine

        options: dict[str, Any] = {name: getattr(self, name) for name in TreeOptions.__annotations__}
        options["grid"] = Grid2D(**options["grid"].model_dump())
        loaded = source.loaded
        engine = TreeEngine(loaded.model, loaded.chat.tokenizer, loaded.mixing, **options)
        engine.sampling = self.made_sampling()
        engine.form = self.made_form()
        return engine


GridEntry = record_of("GridEntry", Grid2D)
"""`grid` of the entry."""
TreeEntry = record_of("TreeEntry", TreeOptions, _Tree, grid=GridEntry)
"""The catalogue entry: `kind: tree` and the options."""
TreeEntry.__module__ = GridEntry.__module__ = __name__
