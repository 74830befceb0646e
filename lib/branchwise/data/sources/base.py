"""What all data sets that are read (not made) have in common: their settings, items and bad rows."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from branchwise.data.languages import Language, Scored
from branchwise.data.style import Wording
from branchwise.data.text import not_unicode
from branchwise.data.types import CANNOT_ANSWER, NO_ANSWER, Question, Scorer

# Annotated, so that a data set that sets its own default keeps the limits and the description.
LocalPath = Annotated[
    str | None,
    Field(
        description="Local file in the authors' schema (.json, .jsonl, or either with .gz).",
    ),
]
Hub = Annotated[str | None, Field(description="Hub id, read where no path is given.")]
HubConfig = Annotated[str | None, Field(description="Configuration of the hub set.")]
Revision = Annotated[str | None, Field(description="Pinned hub revision (a commit).")]
Split = Annotated[str, Field(description="Split of the hub set.")]
Grouping = Annotated[
    Literal["context", "chunk", "dialogue", "subdomain", "random", "similarity"],
    Field(
        description="context: the first questions of each passage; chunk: all of a passage's, cut "
        "into groups; dialogue: the first turns, in order; subdomain, random: each question with "
        "its own passage; similarity: questions that a sentence encoder finds alike.",
    ),
]
ONE_PASSAGE = frozenset({"context", "chunk", "dialogue"})
"""Groupings whose groups share a passage; in the others each question has its own."""

GroupSize = Annotated[int, Field(ge=1, le=200, description="Questions per group, at most.")]
ScoredAs = Annotated[Scorer, Field(description="Whose metrics the answers are scored by.")]


def _text_of_number(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


Id = Annotated[
    str,
    BeforeValidator(_text_of_number),
    Field(min_length=1),
    WithJsonSchema({"type": ["string", "integer"], "minLength": 1}),
]
"""An id: some files hold whole numbers, of any length."""


def without_nulls(value: Any) -> Any:
    """A list without its nulls; anything else as it is."""
    return [part for part in value if part is not None] if isinstance(value, list) else value


Texts = Annotated[list[str], BeforeValidator(without_nulls)]
"""A list of texts whose places mean nothing (golds, aliases, paraphrases): null is as good as absent."""


class Row(BaseModel):
    """Base of the rows of files: further fields are ignored, and null is as good as absent."""

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        return {key: value for key, value in content.items() if value is not None}


class Item(NamedTuple):
    """One checked question before grouping, with the passage that it is about.

    Questions are about one passage where title, text and `block` are the same; a block (a dialogue, a
    group of one's own data) has a name, which its group takes, and a place: two of one name are refused.
    """

    place: str
    question: Question
    context: str = ""
    title: str = ""
    subdomain: str = ""
    block: str = ""
    block_place: str = ""
    in_context: bool | None = None  # whether some gold stands in the context; None: not asked


class BadRow(NamedTuple):
    """A row that was left out: where it stands and what is wrong with it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Note(NamedTuple):
    """What was changed in a question that was kept, and where it stands."""

    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


Found = Item | BadRow | Note
"""What a data set makes of a row."""


def with_wordings(item: Item, paraphrases: Iterable[str]) -> Iterator[Item | Note]:
    """An item with the other wordings of its question, each once; a note says how many were none: empty,
    or the same as one before.
    """
    own = item.question.text.strip()
    texts = [text.strip() for text in paraphrases]
    kept = tuple(dict.fromkeys(text for text in texts if text and text != own))
    if dropped := len(texts) - len(kept):
        what = "paraphrase is" if dropped == 1 else "paraphrases are"
        name = item.question.id
        yield Note(item.place, f"question {name}: {dropped} {what} empty or the same as one before")
    yield item._replace(question=item.question.model_copy(update={"paraphrases": kept}))


class Citation(NamedTuple):
    """Where a data set comes from, for its card."""

    paper: str
    homepage: str
    licence: str


class FileDataset(Wording, Scored):
    """Fields of every data set that is read from a local file or from the hub."""

    citation: ClassVar[Citation]
    rows_at: ClassVar[str] = "item"
    """Where rows lie in a JSON file: `item` of a list, `data.item` of a list under a key, or `*` for
    the members of one object. JSON lines hold a row a line."""

    may_state_needs: ClassVar[bool] = False
    """Whether a question may come with others that it needs."""

    may_have_several: ClassVar[bool] = False
    """Whether several letters may be the right answer to a choice."""

    is_dialogue: ClassVar[bool] = False
    """Whether a question leans on those before it."""

    path: LocalPath = None
    hub: Hub = None
    hub_config: HubConfig = None
    revision: Revision = None
    split: Split = "validation"
    grouping: Grouping = "context"
    group_size: GroupSize = 5
    drawn_for: int | None = Field(
        None,
        ge=1,
        le=200,
        description="Draw for groups of this size, then keep the first group_size questions "
        "(context, dialogue) or cut each group (else): entries of several sizes then ask the same "
        "questions. Only passages with that many questions are taken. Default: group_size.",
    )
    min_questions: int | None = Field(
        None,
        ge=1,
        le=200,
        description="Passages (context, dialogue) or groups (else) with fewer questions are left out, "
        "and counted. Default: none is.",
    )
    question_order: Literal["kept", "shuffled"] = Field(
        "kept",
        description="kept: the file's (random, subdomain: as drawn; similarity: the most similar first); "
        "shuffled: the same questions of each block (drawn_for of them, before they are cut) in a seeded "
        "order, each after those that it needs. Never for dialogues.",
    )
    num_groups: int | None = Field(
        None, ge=1, description="Groups drawn (before drawn_for cuts them); default: all."
    )
    seed: int = Field(0, ge=0, description="Which groups are drawn, and random order.")
    tenths: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="Of ten parts into which the hash of its passage puts each question (that of the "
        "question where it has none), those that are kept, 0 to 9; null: all. Entries of other tenths "
        "share no passage: what of a file is trained on, looked at, evaluated.",
    )
    similarity_threshold: float = Field(
        0.5, ge=-1, le=1, description="similarity: least cosine to a cluster's first question."
    )
    encoder: str | None = Field(
        None, description="similarity: folder or hub id of a sentence encoder; default: MiniLM."
    )
    on_bad_row: Literal["skip", "fail"] = Field(
        "skip", description="skip: leave bad rows out, each with a warning, and count them."
    )
    scorer: ScoredAs = "squad"
    language: Language = "en"

    @model_validator(mode="before")
    @classmethod
    def _own_revision(cls, content: Any) -> Any:
        """A pinned revision belongs to its hub id: a set of another id does not take it over."""
        if isinstance(content, dict) and "revision" not in content:
            given = content.get("hub")
            if given is not None and given != cls.model_fields["hub"].default:
                return {**content, "revision": None}
        return content

    @model_validator(mode="after")
    def _sound(self) -> "FileDataset":
        if (self.drawn_for or self.group_size) < self.group_size:
            raise ValueError(f"drawn_for ({self.drawn_for}) is below group_size ({self.group_size})")
        if self.grouping not in ("context", "dialogue") and (self.min_questions or 0) > self.group_size:
            raise ValueError(
                f"min_questions ({self.min_questions}) is above group_size ({self.group_size}), so every "
                f"group of grouping {self.grouping} would be left out"
            )
        if self.question_order == "shuffled" and (self.is_dialogue or self.grouping == "dialogue"):
            raise ValueError(
                "question_order shuffled: a question of a dialogue leans on those before it; leave it out"
            )
        if self.path is None and self.hub is None:
            raise ValueError("give a path, or a hub id")
        if self.tenths is not None and not set(self.tenths) <= set(range(10)):
            raise ValueError(f"tenths {list(self.tenths)}: parts are numbered 0 to 9")
        return self

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """The questions of one row, of the authors' schema or the hub's. Raises ValidationError or
        ValueError where the whole row is bad; a part of it that is bad comes out as a BadRow.
        """
        raise NotImplementedError

    def found(self, rows: Iterator[tuple[str, Any]]) -> Iterator[Found]:
        """Every question and every bad row of `rows`. A set whose questions are spread over rows
        gathers them here.
        """
        for place, row in rows:
            if isinstance(row, BadRow):
                yield row
                continue
            try:
                yield from self.items(row, place)
            except _WRONG as error:
                yield BadRow(place, reason(error))


# What a row of another schema may raise while it is read.
_WRONG = (ValueError, TypeError, AttributeError, KeyError, RecursionError)


def reason(error: Exception) -> str:
    """An error of a row in one line: the field and what is wrong with it."""
    if isinstance(error, UnicodeEncodeError):
        return not_unicode(error.object)
    if not isinstance(error, ValidationError):
        return str(error) if isinstance(error, ValueError) else f"not of the schema ({error})"
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    what = not_unicode(first["input"]) if first["type"] == "string_unicode" else first["msg"]
    return f"{field}: {what}" if field else what


def parts(rows: Any, place: str, name: str) -> Iterator[tuple[str, Any]]:
    """The members of a list within a row, with their places. Raises ValueError where there is none."""
    if not isinstance(rows, list):
        raise ValueError(f"no list `{name}`")
    return ((f"{place}.{name}[{number}]", row) for number, row in enumerate(rows))


def all_bad(rows: Any, place: str, name: str, error: Exception) -> Iterator[BadRow]:
    """What is wrong with something that a list of questions shares: a BadRow for each of them, so that
    what is left out is counted in questions; one at `place` where there is no list.
    """
    num_questions = len(rows) if isinstance(rows, list) else 0
    places = [f"{place}.{name}[{number}]" for number in range(num_questions)] or [place]
    return (BadRow(each, reason(error)) for each in places)


def text_id(text: str) -> str:
    """An id for a question of a set that has none: stable, and the same for the same text."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:16]


def stated(golds: tuple[str, ...], context: str) -> bool | None:
    """Whether one of the golds stands in the context, in any case; None where there is none that could:
    that the text holds no answer is not said by it.
    """
    spans = [gold for gold in golds if gold not in (NO_ANSWER, CANNOT_ANSWER)]
    lowered = context.casefold()
    return any(gold.casefold() in lowered for gold in spans) if spans else None


def local_path(dataset: FileDataset) -> Path | None:
    """The local file of an entry, home folder expanded."""
    return Path(dataset.path).expanduser() if dataset.path else None
