"""Files that runs write and read back: what is not such a file is a UserError, or a journal's broken line;
what is read is what stands there.
"""

import asyncio
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from branchwise.data.groups_file import read_groups, read_preparation
from branchwise.errors import UserError
from branchwise.files import append_journal, read_journal
from branchwise.reporting import heads
from branchwise.reporting.speed import draw_speed
from branchwise.results import only_folder, read_json, read_rows
from branchwise.serving import process
from branchwise.serving.replies import Replies
from tests.fuzz.hostile import DEEP, broken, cases, changed, dumped, in_time
from tests.fuzz.made_results import GROUPS, HEADER, ROWS, RUN, SCORES, TIMES, WHOLE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


def told(read: Callable[[], Any]) -> Any:
    """What a reader gives; None where it refuses, in one line."""
    with in_time():
        try:
            return read()
        except UserError as error:
            assert error.problem and error.remedy
            assert len(str(error)) < 5000, str(error)[:1000]
            return None


ANYTHING = {"settings", "resolved", "hardware", "data", "prices", "judge"}
"""Fields that hold whatever was given: there a 1e999 may stand."""


def numbers(value: Any) -> Iterator[float]:
    """The numbers of a record, of its typed fields."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields.keys() - ANYTHING:
            yield from numbers(getattr(value, name))
    elif isinstance(value, tuple | list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from numbers(inner)


def whole_again(record: Any) -> None:
    """That what was read can be written and read again: no value was taken that JSON has not (a NaN is
    written as null, and a half of a surrogate pair cannot be written at all).
    """
    assert all(map(math.isfinite, numbers(record)))
    written = record.model_dump_json()
    assert type(record).model_validate_json(written).model_dump_json() == written


@pytest.mark.parametrize("kind", sorted(WHOLE))
@cases(0.3 / len(WHOLE))
@given(data=st.data())
def test_a_record_that_is_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    model, content = WHOLE[kind]
    path = folder / "record.json"
    path.write_bytes(dumped(data.draw(changed(content))))
    record = told(lambda: read_json(path, model))
    if record is not None:
        whole_again(record)


@pytest.mark.parametrize("kind", sorted(WHOLE))
@cases(0.2 / len(WHOLE))
@given(data=st.data())
def test_a_record_whose_bytes_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    model, content = WHOLE[kind]
    path = folder / "record.json"
    path.write_bytes(data.draw(broken(dumped(content))))
    told(lambda: read_json(path, model))
    for head in (heads.SCORES, heads.RUN, heads.TIMES):
        told(lambda head=head: heads.head_of(path, head))


@pytest.mark.parametrize("kind", sorted(ROWS))
@cases(0.2 / len(ROWS))
@given(data=st.data())
def test_rows_that_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    model, content = ROWS[kind]
    header = data.draw(st.sampled_from((HEADER, HEADER, HEADER, None)))
    first = dumped(header if header else data.draw(changed(HEADER)))
    path = folder / "rows.jsonl"
    path.write_bytes(b"\n".join((first, dumped(content), dumped(data.draw(changed(content))), b"")))
    for row in told(lambda: list(read_rows(path, model, {"cell": "d/m/s/t"}))) or ():
        whole_again(row)


@pytest.mark.parametrize("kind", sorted(ROWS))
@cases(0.1 / len(ROWS))
@given(data=st.data())
def test_rows_whose_bytes_are_changed(kind: str, data: st.DataObject, folder: Path) -> None:
    model, content = ROWS[kind]
    lines = [dumped(HEADER), dumped(content), dumped(content), b""]
    path = folder / "rows.jsonl"
    path.write_bytes(data.draw(broken(b"\n".join(lines))))
    told(lambda: list(read_rows(path, model, {"cell": "d/m/s/t"})))


@cases(0.1)
@given(data=st.data())
def test_a_file_of_groups(data: st.DataObject, folder: Path) -> None:
    lines = [GROUPS["header"], GROUPS["group"]]
    path = folder / "groups.jsonl"
    if data.draw(st.booleans()):
        content = b"\n".join(dumped(line) for line in lines)
        path.write_bytes(data.draw(broken(content)))
    else:
        number = data.draw(st.integers(0, 1))
        lines[number] = data.draw(changed(lines[number]))
        path.write_bytes(b"\n".join(dumped(line) for line in lines))
    told(lambda: read_preparation(path))
    for group in told(lambda: read_groups(path)) or ():
        whole_again(group)


REPLY = {
    **{"server": "http://localhost:1/v1", "text": "A", "stop": "stop", "prompt_tokens": 3},
    **{
        "cached_tokens": 0,
        "generated_tokens": 1,
        "model": "m",
        "attempts": 1,
        "waited_s": 0.0,
        "taken_s": 0.1,
    },
}


@cases(0.1)
@given(data=st.data())
def test_a_journal(data: st.DataObject, folder: Path) -> None:
    """Broken lines are counted and cost nothing else: what stands below them is read, also what is
    appended now.
    """
    path = folder / "journal.jsonl"
    entry = {"key": "k", "record": REPLY}
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(broken(dumped(entry) + b"\n" + dumped(entry) + b"\n")))
    else:
        path.write_bytes(dumped(data.draw(changed(entry))) + b"\n")
    with in_time():
        read_journal(path)
        replies = Replies(path)
        known = replies.get("k")
        assert known is None or known.text is not None
        append_journal(path, ("new", REPLY))
        again = Replies(path)
        assert again.get("new") is not None
        asyncio.run(again.add("more", again.get("new")))
        assert Replies(path).get("more") is not None


@pytest.mark.parametrize(
    "content",
    [dumped({"pid": n}) for n in (0, 1, -1, -7, True, 2**31, 2**70, 1e400)]
    + [b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"pid": "12x"}', b'{"pid": null}'],
)
def test_a_file_of_a_server_that_names_no_process(content: bytes, folder: Path, monkeypatch) -> None:
    """0 and 1 stand for whole groups of processes: nothing is ever sent to them."""
    sent: list[int] = []
    for name in ("kill", "killpg", "waitpid"):
        monkeypatch.setattr(process.os, name, lambda pid, *rest: sent.append(pid))
    path = folder / "servers/here/server.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = content.replace(b"}", b', "machine": "%s"}' % process.platform.node().encode(), 1)
    path.write_bytes(content)
    with pytest.raises(UserError, match="no file of a running server"):
        process.stop(path)
    assert process.sweep(folder / "servers", end=True) == []
    assert not sent


BENCH = {
    "schema": 1,
    "rows": [
        {"layout": layout, "prefix": prefix, "branches": n, "step_s": 0.01 * n, "floor_s": 0.001}
        for layout in ("tree", "hf")
        for prefix in (64, 512)
        for n in (1, 8)
    ],
}


@cases(0.02)
@given(data=st.data())
def test_a_benchmark_that_is_changed(data: st.DataObject) -> None:
    from matplotlib import pyplot

    content = data.draw(changed(BENCH))
    if isinstance(content, dict):
        told(lambda: draw_speed(content))
        pyplot.close("all")


@pytest.mark.parametrize("deep", [*(dumped_deep for dumped_deep in ("[" * 100_000, '{"key":' * 100_000))])
def test_nesting_beyond_the_stack(deep: str, folder: Path) -> None:
    path = folder / "deep"
    path.write_text(deep, encoding="utf-8")
    model, _ = WHOLE["scores"]
    assert told(lambda: read_json(path, model)) is None
    assert told(lambda: list(read_rows(path, ROWS["trace"][0]))) is None
    assert told(lambda: read_groups(path)) is None
    assert read_journal(path) == ({}, 1)
    assert told(lambda: heads.head_of(path, heads.SCORES)) is None


@pytest.mark.parametrize("name", ["missing", "folder", "x" * 300, "nul\0", "\ud800"])
def test_a_file_that_is_not_there(name: str, folder: Path) -> None:
    (folder / "folder").mkdir(exist_ok=True)
    model, _ = WHOLE["scores"]
    for read in (lambda p: read_json(p, model), lambda p: list(read_rows(p, model)), read_groups):
        with pytest.raises(UserError):
            read(folder / name)
    # Commands make one line of an OSError, too.
    with pytest.raises((UserError, OSError)):
        only_folder(folder / name, "run.json")


def test_what_is_changed_above_is_right_before(folder: Path) -> None:
    for model, content in (*WHOLE.values(), *ROWS.values()):
        whole_again(model.model_validate_json(json.dumps(content)))
    assert all(content["schema_version"] for content in (SCORES, RUN, TIMES))
    assert draw_speed(BENCH)
    assert len(DEEP) == 3
