"""MyriadLAMA (Zhao et al., 2024): facts asked by many cloze templates, by hand and by machine."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.sources.base import (
    BadRow,
    Citation,
    FileDataset,
    Found,
    Grouping,
    Hub,
    Id,
    Item,
    Note,
    Row,
    ScoredAs,
    Split,
    Texts,
    reason,
    with_wordings,
)
from branchwise.data.style import Instruction
from branchwise.data.types import Question
from branchwise.data.worlds.wordings import BLANK


class _Template(Row):
    """One row of the hub: a fact in one template."""

    uuid: Id
    sub_ent: str = Field(min_length=1)
    obj_aliases: Texts = Field(min_length=1)
    template: str = Field(min_length=1)
    is_manual: bool


class _Merged(Row):
    """A fact with all its sentences, the subject filled in."""

    uuid: Id
    answers: Texts = Field(min_length=1)
    manual_paraphrases: Texts = []
    auto_paraphrases: Texts = []


class _Fact:
    """A fact whose templates are still being gathered. Templates are shared between facts."""

    __slots__ = ("answers", "auto", "manual", "place", "subject")

    def __init__(self, place: str, subject: str, answers: tuple[str, ...]) -> None:
        self.place, self.subject, self.answers = place, subject, answers
        self.manual: list[str] = []
        self.auto: list[str] = []


class MyriadLamaDataset(FileDataset):
    """MyriadLAMA: the first template asks, the others are paraphrases."""

    citation = Citation(
        "Zhao et al., 2024. What Matters in Memorizing and Recalling Facts? MyriadLAMA",
        "https://huggingface.co/datasets/iszhaoxin/MyriadLAMA",
        "none stated",
    )

    source: Literal["myriadlama"]
    instruction: Instruction = f"Predict the {BLANK} in the sentence in one word."
    hub: Hub = "iszhaoxin/MyriadLAMA"
    split: Split = "train"
    grouping: Grouping = "random"
    templates: Literal["manual", "auto", "both"] = Field(
        "both", description="Which templates: by hand, by machine, or both, those by hand first."
    )
    scorer: ScoredAs = "containment"

    def found(self, rows: Iterator[tuple[str, Any]]) -> Iterator[Found]:
        """Merged rows are whole facts; the hub's are one template of a fact each, gathered here."""
        facts: dict[str, _Fact] = {}
        shared: dict[str, str] = {}
        for place, row in rows:
            if isinstance(row, BadRow):
                yield row
                continue
            try:
                if isinstance(row, dict) and "template" not in row:
                    merged = _Merged.model_validate(row)
                    manual, auto = merged.manual_paraphrases, merged.auto_paraphrases
                    yield from self._item(place, merged.uuid, merged.answers, manual, auto)
                else:
                    _gather(_Template.model_validate(row), place, facts, shared)
            except ValueError as error:
                yield BadRow(place, reason(error))
        for uuid, fact in facts.items():
            manual, auto = (
                [text.replace("[X]", fact.subject).replace("[Y]", BLANK) for text in templates]
                for templates in (fact.manual, fact.auto)
            )
            try:
                yield from self._item(fact.place, uuid, fact.answers, manual, auto)
            except ValueError as error:
                yield BadRow(fact.place, reason(error))

    def _item(
        self, place: str, uuid: str, answers: Any, manual: list[str], auto: list[str]
    ) -> Iterator[Item | Note]:
        chosen = {"manual": manual, "auto": auto, "both": [*manual, *auto]}[self.templates]
        texts = [text.strip() for text in chosen]
        first = next((text for text in texts if text), None)
        golds = tuple(dict.fromkeys(answer.strip() for answer in answers if answer.strip()))
        if first is None or not golds:
            raise ValueError(f"no answer, or no template ({self.templates})")
        question = Question(id=uuid, text=first, golds=golds, answer="cloze", kind="cloze")
        texts.remove(first)
        yield from with_wordings(Item(place, question), texts)


def _gather(row: _Template, place: str, facts: dict[str, _Fact], shared: dict[str, str]) -> None:
    """Add a template to its fact. Raises ValueError where the template has no place for a word,
    and where the fact was another before.
    """
    if "[X]" not in row.template or "[Y]" not in row.template:
        raise ValueError(f"the template {row.template!r} lacks [X] or [Y]")
    fact = facts.get(row.uuid)
    if fact is None:
        fact = facts[row.uuid] = _Fact(place, row.sub_ent, tuple(row.obj_aliases))
    elif (fact.subject, fact.answers) != (row.sub_ent, tuple(row.obj_aliases)):
        raise ValueError(f"fact {row.uuid} has another subject or other answers at {fact.place}")
    template = shared.setdefault(row.template, row.template)
    (fact.manual if row.is_manual else fact.auto).append(template)
