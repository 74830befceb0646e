"""Made worlds as a data set of the catalogue."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from branchwise.data.languages import Language, Scored
from branchwise.data.style import Wording
from branchwise.data.types import Group, Scorer
from branchwise.data.worlds.groups import WorldsSpec, make_groups

CHAINED = frozenset({"two_hop", "follow_up"})
"""Kinds of questions that need one before them."""


class WorldsDataset(WorldsSpec, Wording, Scored):
    """Made worlds: nothing is downloaded, every answer and dependency is known."""

    may_have_several: ClassVar[bool] = False
    """Whether several letters may be the right answer to a choice."""

    source: Literal["worlds"]
    scorer: Scorer = Field("squad", description="Whose metrics the answers are scored by.")
    language: Language = "en"

    @property
    def may_state_needs(self) -> bool:
        """Whether a question may come with others that it needs."""
        return not self.own_contexts and bool(CHAINED & set(self.kinds))

    def made(self) -> Iterator[Group]:
        """The groups, one at a time."""
        spec = {name: getattr(self, name) for name in WorldsSpec.model_fields}
        return make_groups(WorldsSpec(**spec))
