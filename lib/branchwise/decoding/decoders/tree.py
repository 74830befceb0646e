"""The tree decoder in a config."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from branchwise.decoding.contract import BranchingDecoder, Verb
from branchwise.decoding.decoders.base import SampledSettings, record_of
from branchwise.decoding.forms import Constrain, Form, problem_of
from branchwise.decoding.options import Grid2D, TreeOptions

if TYPE_CHECKING:
    from branchwise.decoding.models.source import ModelSource


class _Tree(SampledSettings):
    """The tree decoder."""

    offers: ClassVar[frozenset[Verb]] = frozenset({"ask", "fork", "join", "hook"})

    kind: Literal["tree"]
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
    def _form_is_sound(self) -> "_Tree":
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

    def make(self, source: "ModelSource") -> BranchingDecoder:
        """The tree engine with these options."""
        from branchwise.decoding.engine import TreeEngine

        options: dict[str, Any] = {name: getattr(self, name) for name in TreeOptions.__annotations__}
        options["grid"] = Grid2D(**options["grid"].model_dump())
        loaded = source.loaded
        engine = TreeEngine(loaded.model, loaded.chat.tokenizer, **options)
        engine.sampling = self.made_sampling()
        if self.constrain is not None:
            engine.form = Form(self.constrain, self.pattern, self.several)
        return engine


GridEntry = record_of("GridEntry", Grid2D)
"""`grid` of the entry."""
TreeEntry = record_of("TreeEntry", TreeOptions, _Tree, grid=GridEntry)
"""The catalogue entry: `kind: tree` and the options."""
TreeEntry.__module__ = GridEntry.__module__ = __name__
