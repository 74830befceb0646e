"""HotpotQA (Yang et al., 2018): questions that take two passages of Wikipedia; ten are given each."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ConfigDict, Field

from branchwise.data.sources.base import (
    Citation,
    FileDataset,
    Found,
    Grouping,
    GroupSize,
    Hub,
    HubConfig,
    Id,
    Item,
    Revision,
    Row,
    ScoredAs,
    stated,
    text_id,
)
from branchwise.data.style import Instruction
from branchwise.data.types import Question


class _Row(Row):
    """The authors' form; the hub's is brought into it."""

    model_config = ConfigDict(populate_by_name=True)

    id: Id | None = Field(None, alias="_id")
    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)
    type: str = "question"
    context: list[tuple[str, list[str]]] = Field(min_length=1)


class HotpotqaDataset(FileDataset):
    """HotpotQA: each question has its own passages, so groups are drawn at random."""

    citation = Citation(
        "Yang et al., 2018. HotpotQA: A Dataset for Diverse, Explainable Multi-hop QA. EMNLP",
        "https://hotpotqa.github.io/",
        "CC BY-SA 4.0",
    )

    source: Literal["hotpotqa"]
    instruction: Instruction = "Answer from the text with the shortest phrase from it, or with yes or no."
    hub: Hub = "hotpotqa/hotpot_qa"
    hub_config: HubConfig = Field("distractor", description="distractor or fullwiki.")
    revision: Revision = "1908d6afbbead072334abe2965f91bd2709910ab"
    grouping: Grouping = "random"
    group_size: GroupSize = 4
    scorer: ScoredAs = "hotpotqa"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A row of the authors' file (context: pairs of title and sentences) or of the hub."""
        if isinstance(row, dict) and isinstance(row.get("context"), dict):
            context = row["context"]
            titles, sentences = context.get("title") or (), context.get("sentences") or ()
            pairs = list(zip(titles, sentences, strict=True))
            row = row | {"context": pairs}
        found = _Row.model_validate(row)
        if not found.question.strip() or not found.answer.strip():
            raise ValueError("an empty question or answer")
        passages = (f"{title}: {''.join(lines).strip()}" for title, lines in found.context)
        context = "\n".join(passages)
        golds = (found.answer.strip(),)
        known = None if golds[0] in ("yes", "no") else stated(golds, context)
        name = found.id or text_id(found.question)
        question = Question(id=name, text=found.question.strip(), golds=golds, kind=found.type)
        yield Item(place, question, context, in_context=known)
