"""The beginnings of result files: what they say of themselves, and one line on what is wrong."""

import json
from pathlib import Path

import pytest
from tests.finished import Finished, edit_json

from branchwise.errors import UserError
from branchwise.reporting.heads import RUN, SCORES, TIMES, head_of, read_result
from branchwise.results import RunRecord, Scores, read_json
from branchwise.times import TimesRecord


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    return Finished(tmp_path)


def test_a_head_is_what_the_whole_file_says(finished: Finished) -> None:
    cell = finished.cell()
    run, scores = (read_json(finished.run(cell), RunRecord), read_json(finished.scores(cell), Scores))
    assert head_of(finished.run(cell), RUN) == {
        **{"schema_version": 4, "cell": cell._asdict()},
        "identity": run.identity,
    }
    assert head_of(finished.scores(cell), SCORES)["scoring"] == scores.scoring
    (times, _) = sorted(finished.results.glob("times/**/*.json"))
    assert head_of(times, TIMES)["identity"] == read_json(times, TimesRecord).identity


def test_settings_longer_than_a_chunk_and_cut_between_bytes_of_a_letter(tmp_path: Path) -> None:
    """Chinese letters take three bytes: some chunk ends within one, whatever stands before."""
    for shift in range(3):
        settings = {"text": "x" * shift + "汉" * 30_000}
        content = {
            **{"schema_version": 4, "cell": {}},
            **{"identity": {"settings": settings, "code": "c"}, "rest": list(range(10_000))},
        }
        path = tmp_path / f"{shift}.json"
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        assert head_of(path, RUN)["identity"].settings == settings


def test_only_the_beginning_is_read(finished: Finished) -> None:
    """A broken middle is none of a head's business; whoever reads the file whole is told."""
    path = finished.run(finished.cell())
    edit_json(path, "groups", value="none")
    assert head_of(path, RUN)["cell"] == finished.cell()._asdict()
    with pytest.raises(UserError, match="is not a RunRecord of schema version 4: groups"):
        read_result(path, RunRecord, RUN)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "it is cut off"),
        (b'{"schema_version": 4, "cell": {"dataset": "on', "it is cut off"),
        (
            b'{"schema_version": 4, "cell": {}, "identity": {"settings": {}, "code": ""}, "re',
            "it is cut off",
        ),
        (b'{"schema_version": 4, "cell": {}}', "it has no identity"),
        (b'{"schema_version": 3, "cell": {}}', "is of schema version 3, not of 4"),
        (b'{"cell": {}, "identity": {}}', "is of no schema version, not of 4"),
        (b'{"schema_version": 4, "cell": {}, "identity": 7}', "it does not say what it was made of"),
        (b"[1, 2]", "it is no JSON object"),
        (b"7", "it is no JSON object"),
        (b"not JSON", "it is no JSON object"),
        (b"{4: 5}", "it is no JSON"),
        (b'{"a" 5}', "it is no JSON"),
        (b'{"a": 5 6}', "it is no JSON"),
        (b"\xff\xfe", "can't decode byte 0xff"),
        (b'{"a": ' + b"[" * 100_000, "recursion"),
    ],
)
def test_what_is_wrong_is_told_in_a_line_that_names_the_file(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        head_of(path, RUN)
    assert told in str(raised.value)
    assert str(raised.value).startswith(f"{path} is ")
    assert "\n" not in str(raised.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.json cannot be read: No such file"):
        head_of(tmp_path / "none.json", RUN)
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        head_of(tmp_path, RUN)


def test_bytes_that_are_no_text_further_on(finished: Finished) -> None:
    path = finished.run(finished.cell())
    long = b'"warnings":["' + b"x" * 40_000 + b'\xff"]'
    path.write_bytes(path.read_bytes().replace(b'"warnings":[]', long))
    assert head_of(path, RUN)["cell"] == finished.cell()._asdict()
    with pytest.raises(UserError, match="run.json is not UTF-8"):
        read_result(path, RunRecord, RUN)
