"""SQuAD v1.1 (Rajpurkar et al., 2016), grouped by passage.

Two sources of the same rows: the official JSON file (data / paragraphs / qas) and the hub's flat
rows (id, title, context, question, answers). Every row is checked; a bad one is named by its place.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from branchwise.data.types import Group, Question
from branchwise.errors import UserError


class BadRow(NamedTuple):
    """A row that was left out: where it stands and what is wrong with it."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


class Misplaced(NamedTuple):
    """Stands for a part of a file that holds no rows where it should."""

    reason: str


class _Answers(BaseModel):
    text: list[str] = Field(min_length=1)


class _Row(BaseModel):
    """A question in the hub's form; further fields are ignored."""

    id: str = Field(min_length=1)
    title: str = ""
    context: str = Field(min_length=1)
    question: str = Field(min_length=1)
    answers: _Answers


class SquadRows:
    """Checked rows, grouped by passage in the order of the file; `bad` holds what was left out."""

    def __init__(self) -> None:
        self.bad: list[BadRow] = []
        self._passages: dict[tuple[str, str], list[_Row]] = {}
        self._ids: set[str] = set()

    def read(self, rows: Iterable[tuple[str, Any]]) -> None:
        """Take rows with their places."""
        for place, content in rows:
            if isinstance(content, Misplaced):
                self.bad.append(BadRow(place, content.reason))
                continue
            try:
                row = _Row.model_validate(content)
            except ValidationError as error:
                first = error.errors()[0]
                field = ".".join(str(part) for part in first["loc"])
                self.bad.append(BadRow(place, f"{field}: {first['msg']}" if field else first["msg"]))
                continue
            if row.id in self._ids:
                self.bad.append(BadRow(place, f"id {row.id} occurs twice"))
                continue
            if not all(text.strip() for text in row.answers.text) or not row.question.strip():
                self.bad.append(BadRow(place, "an empty question or answer"))
                continue
            self._ids.add(row.id)
            self._passages.setdefault((row.title, row.context), []).append(row)

    def groups(self, group_size: int) -> Iterator[Group]:
        """One group a passage, its first `group_size` questions; passages without any are none."""
        for number, ((title, context), rows) in enumerate(self._passages.items()):
            questions = tuple(
                Question(
                    id=row.id,
                    text=row.question.strip(),
                    golds=tuple(dict.fromkeys(row.answers.text)),
                    kind="squad",
                )
                for row in rows[:group_size]
            )
            yield Group(id=f"p{number:05d}", title=title, context=context, questions=questions)


def official_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Rows of a file in the official schema, each with its place in the file.

    Raises UserError where the file is missing, is not JSON, or has no list `data`. A part that does
    not follow the schema comes out as a row that will be refused by its place.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"data file {path} does not exist", "check the path") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path} is not JSON: {error.msg} at {place}", "mend the file") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start})", "mend the file") from None
    if not isinstance(content, dict) or not isinstance(content.get("data"), list):
        raise UserError(f"{path} has no list `data`", "give a file in the official SQuAD schema")
    return _walk(content["data"])


def _walk(articles: list[Any]) -> Iterator[tuple[str, Any]]:
    for a, article in enumerate(articles):
        paragraphs = article.get("paragraphs") if isinstance(article, dict) else None
        if not isinstance(paragraphs, list):
            yield f"data[{a}]", Misplaced("no list `paragraphs`")
            continue
        for p, paragraph in enumerate(paragraphs):
            place = f"data[{a}].paragraphs[{p}]"
            qas = paragraph.get("qas") if isinstance(paragraph, dict) else None
            if not isinstance(qas, list):
                yield place, Misplaced("no list `qas`")
                continue
            for q, qa in enumerate(qas):
                yield f"{place}.qas[{q}]", _flat(article, paragraph, qa)


def _flat(article: dict, paragraph: dict, qa: Any) -> Any:
    """A question of the official schema in the hub's form; what is missing stays missing."""
    if not isinstance(qa, dict):
        return qa
    row = {key: qa[key] for key in ("id", "question") if key in qa}
    row |= {"title": article.get("title", "")}
    if "context" in paragraph:
        row["context"] = paragraph["context"]
    if isinstance(qa.get("answers"), list):
        texts = [a.get("text") if isinstance(a, dict) else a for a in qa["answers"]]
        row["answers"] = {"text": texts}
    return row


def hub_rows(hub: str, revision: str, split: str) -> Iterator[tuple[str, Any]]:
    """Rows of a hub data set (or of a local folder of the same form), each with its number."""
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    try:
        rows = datasets.load_dataset(hub, revision=revision, split=split)
    except (DatasetNotFoundError, ConnectionError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{hub} could not be read from the hub: {reason}",
            "go online once, or give `path:` to a local file in the official schema",
        ) from error
    return ((f"{hub} {split}[{number}]", dict(row)) for number, row in enumerate(rows))
