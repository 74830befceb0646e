"""Own data: one group a line, in the documented format (config/own-data.schema.json)."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.sources.base import (
    Citation,
    FileDataset,
    Found,
    GroupSize,
    Item,
    stated,
)
from branchwise.data.types import Group


class JsonlDataset(FileDataset):
    """Groups as they are: {"id", "context", "questions": [{"id", "text", "golds", ...}]} a line."""

    citation = Citation("none: your own data", "", "yours")

    source: Literal["jsonl"]
    path: str | None = Field(None, description="File of JSON lines, one group each.")
    group_size: GroupSize = 200

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A line: a whole group. Ids of questions need only be unique in their group."""
        group = Group.model_validate(row)
        for question in group:
            context = question.context or group.context
            needs = tuple(f"{group.id}/{name}" for name in question.needs)
            named = question.model_copy(
                update={"id": f"{group.id}/{question.id}", "needs": needs, "context": None}
            )
            known = stated(question.golds, context) if context and question.answer == "span" else None
            yield Item(place, named, context, group.title, in_context=known)
