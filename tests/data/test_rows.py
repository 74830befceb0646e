"""Reading files: a fault costs the question that it is in, or is an error with its place."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from branchwise.data import document
from branchwise.data.groups_file import Preparation, read_groups
from branchwise.data.prepare import prepare_groups
from branchwise.data.rows import file_rows, mentions
from branchwise.data.sources import SOURCES
from branchwise.errors import UserError

NUM_ARTICLES = 1000


def article(number: int, **more: Any) -> dict:
    qa = {"id": f"q{number}", "question": f"Who built {number}?", "answers": [{"text": "Ada"}]} | more
    paragraph = {"context": f"Ada built Mill {number} .", "qas": [qa]}
    return {"title": f"T{number}", "paragraphs": [paragraph]}


def squad(change: tuple[str, str] = ("", "")) -> str:
    """A SQuAD file of 1,000 questions, something of the fourth replaced."""
    articles = [json.dumps(article(number)) for number in range(NUM_ARTICLES)]
    assert change[0] in articles[3]
    articles[3] = articles[3].replace(*change)
    return f'{{"version": 1.1, "data": [{", ".join(articles)}]}}'


def prepared(
    content: bytes | str, folder: Path, name: str = "rows.json", source: str = "squad"
) -> tuple[Preparation, list[str]]:
    """What a file comes to, and the warnings."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    entry = SOURCES[source](source=source, path=str(path), group_size=200)
    warnings: list[str] = []
    return prepare_groups(entry, folder / "out/groups.jsonl", warnings.append), warnings


@pytest.mark.parametrize(
    "change",
    [
        ('"title": "T3"', '"title": "T3", "weight": NaN'),
        ('"title": "T3"', '"title": "T3", "weights": [Infinity, -Infinity, 1e999]'),
        ('"q3"', "9223372036854775808"),
        ('"q3"', str(2**200)),
        ('"title": "T3"', f'"title": "T3", "weight": {"9" * 5000}'),
        ("Who built 3?", "Who\tbuilt\n3?"),
    ],
)
def test_a_token_that_json_lacks_costs_nothing(change: tuple[str, str], tmp_path: Path) -> None:
    made, warnings = prepared(squad(change), tmp_path)
    assert (made.num_questions, made.rows_left_out, warnings) == (NUM_ARTICLES, 0, [])
    names = {q.id for group in read_groups(tmp_path / "out/groups.jsonl") for q in group}
    assert change[0] != '"q3"' or change[1] in names


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ("Who built 3?", "Who built Ren\udce9?"),
            "question: byte 0xe9 is not UTF-8, in 'Who built Ren\\xe9?'",
        ),
        (("Ada built", "Ren\udce9 built"), "context: byte 0xe9 is not UTF-8"),
        (('"Who built 3?"', "NaN"), "question: Input should be a valid string"),
        (('"q3"', "NaN"), "id: Input should be a valid string"),
        (("Who built 3?", "Who \\ud83d?"), "question: half a surrogate pair"),
    ],
)
def test_a_token_that_is_needed_costs_its_question(
    change: tuple[str, str], reason: str, tmp_path: Path
) -> None:
    made, warnings = prepared(squad(change).encode("utf-8", "surrogateescape"), tmp_path)
    assert (made.num_questions, made.rows_left_out) == (NUM_ARTICLES - 1, 1)
    assert warnings[0].startswith(f"left out data[3].paragraphs[0].qas[0]: {reason}")
    warnings[0].encode()


WHOLE = squad()


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (
            WHOLE[:60_000],
            "broken at data[384], line 1, column 59997: the file ends here (unterminated string)",
        ),
        (WHOLE[:-1], "broken at data[1000], line 1, column 156586: the file ends here"),
        (WHOLE + " x", "broken at its end"),
        (WHOLE + WHOLE, "more follows (one document a file)"),
        (WHOLE + "\n" + WHOLE, "line 1 is a whole document (it has a list `data`)"),
        (WHOLE[:-1] + ', "data": []}', "a second list `data`"),
        (WHOLE.replace('"q3"', "q3"), "broken at data[3], line 1, column"),
        (WHOLE.replace('"q3",', '"q3"'), "broken at data[3], line 1, column"),
        (WHOLE.replace('"T3", ', '"T3",\n]'), "broken at data[3], line 2, column 1"),
        (WHOLE.replace("}, {", "} {", 1), "broken at data[1], line 1, column"),
        (WHOLE.replace('"T3"', "[" * 20_000), "broken at data[3]"),
        ('{"data": [', "broken at data[0], line 1, column 11: the file ends here"),
        (gzip.compress(WHOLE.encode())[:-900], "the compressed file is cut off or broken at data[8"),
        (WHOLE.encode("utf-16")[:-1], "it is not utf-16"),
        (b'{"data": [\n{"title": \xe9}]}', "not UTF-8"),
    ],
)
def test_a_document_that_breaks_off_is_an_error_with_its_place(
    content: bytes | str, place: str, tmp_path: Path
) -> None:
    """Also where bad rows are left out; and nothing is written."""
    with pytest.raises(UserError) as caught:
        prepared(content, tmp_path)
    assert place in str(caught.value)
    assert str(tmp_path / "rows.json") in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def flat(number: int) -> str:
    answers = {"text": ["Ada"], "answer_start": [0]}
    row = {
        "id": number,
        "title": None,
        "context": "Ada built it.",
        "question": "Who?",
        "answers": answers,
    }
    return json.dumps(row)


LINES = "\n".join(flat(number) for number in range(30))
LONG = "\n".join([flat(0).replace("built it.", "built it. " + "x" * 5_000_000), *LINES.split("\n")[1:]])


@pytest.mark.parametrize(
    ("content", "name", "count"),
    [
        (LINES, "rows.json", 30),
        (LINES, "rows", 30),
        (LINES + "\n\n", "rows.ndjson", 30),
        (LINES.replace("\n", "\r\n"), "rows.jsonl", 30),
        (LONG, "rows.json", 30),
        (LONG, "rows.jsonl", 30),
        (flat(1), "rows.jsonl", 1),
        ("\n{broken\n" + LINES, "rows.jsonl", 30),
        ("{broken\n" + LINES, "rows.json", 30),
        (WHOLE, "rows.jsonl", NUM_ARTICLES),
        (json.dumps(json.loads(WHOLE), indent=1), "rows.jsonl", NUM_ARTICLES),
        (
            WHOLE.replace("[", "[\n", 1).replace("}]}]}, ", "}]}]},\n").replace("]}]}]}", "]}]}\n]}"),
            "r.jsonl",
            1000,
        ),
        (LINES.encode("utf-16"), "rows.jsonl", 30),
        (WHOLE.encode("utf-16-le"), "rows.json", NUM_ARTICLES),
        (WHOLE.encode("utf-32"), "rows.json", NUM_ARTICLES),
        (WHOLE.encode("utf-32-be"), "rows.json", NUM_ARTICLES),
        (WHOLE.encode("utf-8-sig"), "rows.json", NUM_ARTICLES),
        (gzip.compress(WHOLE.encode()), "rows.json", NUM_ARTICLES),
        (gzip.compress(LINES.encode("utf-16")), "rows.jsonl", 30),
        (WHOLE, "rows.json.gz", NUM_ARTICLES),
    ],
)
def test_a_file_is_what_it_holds_whatever_its_name(
    content: bytes | str, name: str, count: int, tmp_path: Path
) -> None:
    made, warnings = prepared(content, tmp_path, name)
    assert made.num_questions == count
    assert len(warnings) == ("broken" in str(content))


def test_an_array_named_lines_is_read_as_one(tmp_path: Path) -> None:
    content = f"[{LINES}]".replace("\n", ",\n").replace('"answers"', '"answers_"')
    row = '{"id": 1, "questions": [{"id": 1, "text": "Who?", "golds": ["Ada"]}]}'
    made, _ = prepared(f"[{row},\n{row.replace('1', '2')}]", tmp_path, "own.jsonl", "jsonl")
    assert made.num_questions == 2
    with pytest.raises(UserError, match="does not hold a list `data` with rows"):
        prepared(content, tmp_path, "rows.jsonl")


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"", "rows.json", "is empty"),
        (b" \n\n ", "rows.jsonl", "is empty"),
        (b"", "rows.jsonl.gz", "is empty"),
        (gzip.compress(b"", mtime=0), "rows.json", "is empty"),
        (b"PK\x03\x04....", "rows.json", "is a zip archive; unpack it"),
        (b"PAR1....", "rows.json", "is a parquet file"),
        (
            b"id,question\n1,Who?",
            "rows.json",
            "neither a list nor an object of JSON: it begins with 'id,",
        ),
        (b"<html>", "rows.json", "it begins with '<html>'"),
        (b"[]", "rows.json", "does not hold a list `data`"),
        (b'{"Data": []}', "rows.json", "does not hold a list `data`"),
        (
            LINES.encode("utf-16")[:-1],
            "rows.jsonl",
            "cannot be read to its end: it is not utf-16.* at line 30",
        ),
        (
            gzip.compress(LONG.encode())[:-50],
            "rows.jsonl",
            "compressed file is cut off or broken at line",
        ),
    ],
)
def test_a_file_that_is_none_says_what_it_is(
    content: bytes, name: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        prepared(content, tmp_path, name)


def test_lines_that_cannot_be_read_are_left_out_alone(tmp_path: Path) -> None:
    lines = LINES.split("\n")
    lines[4] = "\xff" + lines[4]
    lines[6] = lines[6][:-9]
    lines[8] = "[" * 50_000
    lines[9] = lines[9].replace("Who?", "Ren\xe9?")
    lines[11] = lines[11].replace('"id"', '"weight": NaN, "id"')
    made, warnings = prepared("\n".join(lines).encode("cp1252"), tmp_path, "rows.jsonl")
    assert made.num_questions == 26
    assert warnings[0].startswith("left out line 5: not JSON: byte 0xff is not UTF-8")
    assert warnings[1].startswith("left out line 7: not JSON: ")
    assert warnings[2] == "left out line 9: not JSON that can be read: nested too deeply"
    assert warnings[3].startswith("left out line 10: question: byte 0xe9 is not UTF-8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(
    rows=st.lists(JSON, min_size=1, max_size=6),
    chunk=st.integers(16, 60),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_rows_are_those_of_json_whatever_is_held_at_once(
    rows: list, chunk: int, ascii_only: bool, indent: int | None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("rows") / "rows.json"
    before = document._CHUNK
    document._CHUNK = chunk
    try:
        for rows_at, content, expected in (
            ("item", rows, [(f"[{n}]", row) for n, row in enumerate(rows)]),
            ("data.item", {"v": rows, "data": rows}, [(f"data[{n}]", row) for n, row in enumerate(rows)]),
            ("*", dict(zip("abcdef", rows, strict=False)), None),
        ):
            path.write_text(json.dumps(content, ensure_ascii=ascii_only, indent=indent), "utf-8")
            expected = expected or [(f"[{k!r}]", (k, v)) for k, v in content.items()]
            assert list(file_rows(path, rows_at)) == expected
    finally:
        document._CHUNK = before


@settings(max_examples=300)
@example(at=1, removed=0, inserted=b"]", chunk=16)
@given(
    at=st.integers(0, 400),
    removed=st.sampled_from([0, 1, 30, 1000]),
    inserted=st.sampled_from(
        [b"", b'"', b"{", b"}", b"[", b"]", b",", b":", b"7", b"a", b"\\", b"\n", b"\xe9"]
    ),
    chunk=st.integers(16, 64),
)
def test_a_damaged_document_is_read_as_json_reads_it_or_not_at_all(
    at: int, removed: int, inserted: bytes, chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Never a part of it. Read in pieces of any size."""
    whole = json.dumps({"v": [1, -2.5e3, True], "data": [article(0), article(1)]}, indent=1).encode()
    content = whole[:at] + inserted + whole[at + removed :]
    # A first line that is an object is that of JSON lines, whose bad lines cost themselves alone.
    assume(not content.startswith(b"{}\n"))
    try:
        expected = json.JSONDecoder(strict=False).decode(content.decode("utf-8", "surrogateescape"))
    except ValueError:
        expected = None
    rows = expected.get("data") if isinstance(expected, dict) else None
    path = tmp_path_factory.mktemp("cut") / "rows.json"
    path.write_bytes(content)
    before = document._CHUNK
    document._CHUNK = chunk
    try:
        if isinstance(rows, list) and rows:
            assert [row for _, row in file_rows(path, "data.item")] == rows
        elif content.startswith(b"{]\n"):
            # It closes what it opens, and is taken for one of JSON lines: none of them is an object.
            assert not any(isinstance(row, dict) for _, row in file_rows(path, "data.item"))
        else:
            with pytest.raises(UserError):
                list(file_rows(path, "data.item"))
    finally:
        document._CHUNK = before


def test_a_large_document_is_not_held(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    row = json.dumps(article(0) | {"filler": "x" * 20_000})
    path.write_text(f'{{"data": [{", ".join([row] * 1500)}]}}')
    tracemalloc.start()
    assert sum(1 for _ in file_rows(path, "data.item")) == 1500
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 30_000_000
    assert peak < 8_000_000


def test_a_word_is_found_in_any_encoding_and_across_pieces(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes(gzip.compress((" " * (2**20 - 3) + '"needs"').encode("utf-16")))
    assert mentions(path, '"needs"')
    assert not mentions(path, '"need"')
