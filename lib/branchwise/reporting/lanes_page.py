"""Lanes as a page shows them: the data of the picture, with its looks and its words."""

from collections.abc import Mapping
from dataclasses import dataclass

from branchwise.reporting.lanes import Lanes, caption_of, lanes_of
from branchwise.reporting.lanes_look import Look, looks
from branchwise.trace import GroupTrace


@dataclass(frozen=True)
class LanesOnPage:
    """What the template draws. Lanes and times are its own to scale."""

    lanes: Lanes
    looks: Mapping[str, Look]
    caption: str

    @property
    def margin(self) -> int:
        """Room for the labels, in px: enough for the longest one, within limits."""
        longest = max(map(len, self.lanes.labels), default=0)
        return min(190, max(50, 16 + 12 * longest))


def lanes_on_page(trace: GroupTrace, names: Mapping[str, str]) -> LanesOnPage | None:
    """The lanes of a trace with branches; without any the page's timeline says the same. `names` are
    those of questions, by id.
    """
    if not trace.branches:
        return None
    lanes = lanes_of(trace, names)
    return LanesOnPage(lanes, looks(lanes.roles), caption_of(lanes))
