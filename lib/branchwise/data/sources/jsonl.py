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
from branchwise.data.types import LETTERS, Group, Question


class JsonlDataset(FileDataset):
    """Groups as they are: {"id", "context", "questions": [{"id", "text", "golds", ...}]} a line."""

    citation = Citation("none: your own data", "", "yours")

    may_state_needs = True

    source: Literal["jsonl"]
    path: str | None = Field(None, description="File of JSON lines, one group each.")
    group_size: GroupSize = 200

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A line: a whole group. Ids of questions need only be unique in their group."""
        group = Group.model_validate(row)
        if group.context and not group.context.strip():
            raise ValueError(f"group {group.id}: a context of spaces alone; leave it out")
        whole = self.grouping in ("context", "chunk", "dialogue")
        for question in group:
            _check(question)
            named = question
            if not whole:
                # Elsewhere ids must be unique, and nothing is there that a question could need.
                named = question.model_copy(update={"id": f"{group.id}/{question.id}", "needs": ()})
            context = question.context or group.context
            known = stated(question.golds, context) if context and question.answer == "span" else None
            passage = group.context if whole else context
            yield Item(place, named, passage, group.title, block=group.id, in_context=known)


def _check(question: Question) -> None:
    """Raise ValueError for what a type alone does not refuse."""
    if not question.text.strip() or not all(gold.strip() for gold in question.golds):
        raise ValueError(f"question {question.id}: an empty question or answer")
    letters = set(LETTERS[: len(question.options)] or LETTERS)
    if question.answer == "choice" and not all(set(gold) <= letters for gold in question.golds):
        allowed = ", ".join(sorted(letters))
        raise ValueError(f"question {question.id}: its answers are letters of its options ({allowed})")
