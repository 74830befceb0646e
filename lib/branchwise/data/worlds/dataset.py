"""Made worlds as a data set of the catalogue."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from branchwise.data.style import PromptStyle
from branchwise.data.types import Group, Scorer
from branchwise.data.worlds.groups import WorldsSpec, make_groups


class WorldsDataset(WorldsSpec, PromptStyle):
    """Made worlds: nothing is downloaded, every answer and dependency is known."""

    may_state_needs: ClassVar[bool] = True

    source: Literal["worlds"]
    scorer: Scorer = Field("squad", description="Whose metrics the answers are scored by.")

    def made(self) -> Iterator[Group]:
        """The groups, one at a time."""
        spec = {name: getattr(self, name) for name in WorldsSpec.model_fields}
        return make_groups(WorldsSpec(**spec))
