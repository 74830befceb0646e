"""Data files and rows of every kind of data set: what cannot be read is a UserError or a bad row that is
counted, and what comes out are sound groups.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.data.groups_file import Preparation, read_groups
from branchwise.data.prepare import prepare_groups
from branchwise.data.sources import SOURCES
from branchwise.data.sources.base import BadRow, FileDataset, Item, Note
from branchwise.data.spool import Counts, Spool
from branchwise.errors import UserError
from tests.data.made_rows import MADE
from tests.fuzz.hostile import DEEP, NUMBERS, WORDS, broken, cases, changed, dumped, in_time, texts

KINDS = sorted(SOURCES)
KIND = pytest.mark.parametrize("kind", KINDS)
EACH = 1 / len(KINDS)
"""The share of one kind of data set."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


def written(kind: str, rows: Any) -> bytes:
    """A file in the form of its authors."""
    if MADE[kind].jsonl and isinstance(rows, list):
        return b"\n".join(dumped(row) for row in rows)
    return dumped(rows)


def prepared(kind: str, content: bytes, folder: Path, **more: Any) -> Preparation | None:
    """What a file comes to, checked; None where it is refused, in one line."""
    path, out = folder / f"rows{'.jsonl' if MADE[kind].jsonl else '.json'}", folder / "groups.jsonl"
    path.write_bytes(content)
    out.unlink(missing_ok=True)
    entry = SOURCES[kind](source=kind, path=str(path), **more)
    warnings: list[str] = []
    with in_time():
        try:
            made = prepare_groups(entry, out, warnings.append)
        except UserError as error:
            assert error.problem and error.remedy
            assert not out.exists(), "something of a refused file was kept"
            return None
    assert len(warnings) == made.rows_left_out + made.num_notes
    check_groups(out, made)
    return made


def check_groups(path: Path, made: Preparation) -> None:
    """That a file of groups can be read back, holds what it says, and every question can be asked."""
    groups = read_groups(path)
    assert len({group.id for group in groups}) == len(groups) == made.num_groups > 0
    assert sum(map(len, groups)) == made.num_questions
    for group in groups:
        for question in group:
            assert question.text.strip() and question.golds
            assert all(isinstance(gold, str) and gold.strip() for gold in question.golds), question.golds
            # Nothing that no tokenizer or file could take.
            question.model_dump_json().encode()
            assert question.answer != "choice" or all(
                set(gold) <= set("ABCDEFGHIJ") for gold in question.golds
            )


@KIND
@cases(EACH * 0.45)
@given(data=st.data())
def test_rows_that_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    rows = data.draw(changed(MADE[kind].authors))
    prepared(kind, written(kind, rows), folder)


@KIND
@cases(EACH * 0.25)
@given(data=st.data())
def test_files_whose_bytes_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    prepared(kind, data.draw(broken(written(kind, MADE[kind].authors))), folder)


@KIND
@cases(EACH * 0.3)
@given(data=st.data())
def test_rows_of_the_hub_that_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    """Of the hub come Python's values, whatever their types: no reader of JSON stands before them."""
    form = MADE[kind].hub or as_rows(MADE[kind].authors)
    rows = data.draw(changed(form))
    entry = SOURCES[kind](source=kind, path="x")
    given = [(f"[{n}]", row) for n, row in enumerate(rows if isinstance(rows, list) else [rows])]
    with in_time():
        taken(entry, given, folder)


def value_at(value: Any, path: tuple) -> Any:
    for part in path:
        value = value[part]
    return value


def as_rows(content: Any) -> list:
    return content if isinstance(content, list) else [content]


def taken(entry: FileDataset, rows: list, folder: Path) -> Counts:
    """What a data set makes of rows, each of which comes out as something."""
    counts = Counts()
    with Spool(folder, counts, scoped=False) as spool:
        for found in entry.found(iter(rows)):
            assert isinstance(found, Item | BadRow | Note)
            if isinstance(found, Item):
                bad = spool.add(found)
                assert bad is None or bad.reason
                assert bad is not None or found.question.text.strip()
            else:
                assert str(found)
    return counts


VALUES = [
    *WORDS,
    *NUMBERS,
    *DEEP,
    None,
    True,
    [],
    {},
    [[]],
    {"a": None},
    ["a", 1],
    [None],
    b"x",
    object(),
    {1, 2},
]


@KIND
def test_every_field_with_every_type(kind: str, folder: Path) -> None:
    """Every place of a row holds each hostile value once: readers trust the type of none of them."""
    for form, entry in forms(kind):
        for path in list(inner_places(form)):
            for value in VALUES:
                row = deepcopy(form)
                holder = row
                for part in path[:-1]:
                    holder = holder[part]
                holder[path[-1]] = value
                with in_time():
                    try:
                        taken(entry, [("[0]", row)], folder)
                    except UserError:
                        pass
                    except RecursionError as error:  # pragma: no cover
                        raise AssertionError((path, type(value))) from error


def forms(kind: str) -> list[tuple[Any, FileDataset]]:
    entry = SOURCES[kind](source=kind, path="x")
    authors = MADE[kind].authors
    if isinstance(authors, dict):
        first = authors[entry.rows_at.removesuffix(".item")][0] if entry.rows_at != "*" else None
        authors_row = first if first is not None else list(next(iter(authors.items())))
    else:
        authors_row = authors[0]
    return [(row, entry) for row in (authors_row, *MADE[kind].hub[:1])]


def inner_places(value: Any, at: tuple = ()) -> list[tuple]:
    found = [at] if at else []
    items = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        found += inner_places(inner, (*at, key))
    return found


@KIND
@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":[', '{"data":[', '{"Data":[{"QuestionId":'])
def test_a_file_that_is_nested_beyond_the_stack(kind: str, opening: str, folder: Path) -> None:
    assert prepared(kind, opening.encode() * 100_000, folder) is None


@KIND
def test_what_is_changed_above_is_right_before(kind: str, folder: Path) -> None:
    made = prepared(kind, written(kind, MADE[kind].authors), folder)
    assert made is not None
    assert (made.num_questions, made.rows_left_out) == (MADE[kind].num_questions, 0)


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "grouping": st.sampled_from(["context", "chunk", "dialogue", "subdomain", "random"]),
        "group_size": st.integers(1, 200),
        "num_groups": st.integers(1, 5),
        "seed": st.integers(0, 2**64),
        "tenths": st.lists(st.integers(0, 9), min_size=1).map(tuple),
        "on_bad_row": st.sampled_from(["skip", "fail"]),
        "question_order": st.sampled_from(["kept", "shuffled"]),
    },
)


@KIND
@cases(EACH * 0.1)
@given(data=st.data(), more=SETTINGS)
def test_changed_rows_under_any_settings(
    kind: str, data: st.DataObject, more: dict[str, Any], folder: Path
) -> None:
    rows = data.draw(changed(MADE[kind].authors, most=1, least=0))
    try:
        SOURCES[kind](source=kind, path="x", **more)
    except ValueError:
        return
    prepared(kind, written(kind, rows), folder, **more)


@KIND
@cases(EACH * 0.1)
@given(data=st.data(), word=texts)
def test_any_text_in_a_field_of_text(kind: str, data: st.DataObject, word: str, folder: Path) -> None:
    rows = deepcopy(MADE[kind].authors)
    words = [at for at in inner_places(rows) if isinstance(value_at(rows, at), str)]
    path = data.draw(st.sampled_from(words))
    value_at(rows, path[:-1])[path[-1]] = word
    prepared(kind, written(kind, rows), folder)
