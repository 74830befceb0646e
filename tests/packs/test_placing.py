"""Results of a pack beside those that are there: nothing is ever overwritten."""

import os
import re
import shutil
from pathlib import Path

import pytest
from tests.commands.small import branchwise
from tests.finished import Finished, edit_json

from branchwise.errors import UserError
from branchwise.packs.placing import Unpacked, unpack

MOST = 2**30


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    return Finished(tmp_path)


@pytest.fixture
def pack(finished: Finished) -> Path:
    out = finished.folder / "r.tar.gz"
    done = branchwise("pack", "--config", finished.config, "--out", out, "--answers")
    assert done.exit_code == 0, done.output
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def results(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if not name.startswith("packs/")}


def put(pack: Path, into: Path) -> Unpacked:
    found = unpack(pack, into, MOST)
    assert not list(into.glob(".*")), "nothing temporary stays"
    return found


def test_all_of_it_is_put_in_place_and_a_second_time_nothing(finished: Finished, pack: Path) -> None:
    into = finished.folder / "new"
    found = put(pack, into)
    assert (len(found.placed), found.there, found.left) == (6, (), ())
    assert results(into) == results(finished.results)
    assert set(contents(into)) - set(results(into)) == {
        "packs/trial/config.yaml",
        "packs/trial/manifest.json",
    }
    before = contents(into)
    found = put(pack, into)
    assert (found.placed, len(found.there), found.left) == ((), 6, ())
    assert contents(into) == before


def test_files_are_as_others_that_one_writes(finished: Finished, pack: Path) -> None:
    into = finished.folder / "new"
    put(pack, into)
    mask = os.umask(0)
    os.umask(mask)
    modes = {path.stat().st_mode & 0o777 for path in into.rglob("*.json")}
    assert modes == {0o666 & ~mask}


def test_what_is_missing_is_added(finished: Finished, pack: Path) -> None:
    before = results(finished.results)
    finished.scores(finished.cell()).unlink()
    shutil.rmtree(finished.results / "times/two")
    found = put(pack, finished.results)
    assert set(found.placed) == {"one/tiny/batch/tree", "two/tiny/tree"}
    assert results(finished.results) == before


@pytest.mark.parametrize(
    ("keys", "value", "why"),
    [
        (("identity", "code"), "0" * 12, r"is of other code of answers \(0{12}, in the pack "),
        (("identity", "settings", "max_new_tokens"), 5, "is of other settings"),
        (("schema_version",), 3, "is of schema version 3, not of 4"),
        (("makespan_s",), 7.0, "is of another run with the same settings and code"),
    ],
)
def test_another_result_is_named_and_left_alone(
    finished: Finished, pack: Path, keys: tuple[str, ...], value: object, why: str
) -> None:
    edit_json(finished.run(finished.cell()), *keys, value=value)
    finished.scores(finished.cell()).unlink()
    before = results(finished.results)
    found = put(pack, finished.results)
    assert results(finished.results) == before
    assert [name for name, _ in found.left] == ["cell one/tiny/batch/tree"]
    assert re.search(why, found.left[0].why), found.left[0].why
    assert len(found.there) == 5


def test_broken_ones_folders_and_links_are_left_alone_too(finished: Finished, pack: Path) -> None:
    one, two = finished.cell(), finished.cell("two")
    finished.run(one).write_text("{")
    finished.run(two).unlink()
    finished.run(two).symlink_to("/nowhere")
    scores = finished.scores(finished.cell("two", "sequential"))
    scores.unlink()
    scores.mkdir()
    answers = finished.run(finished.cell("one", "sequential")).with_name("answers.jsonl")
    answers.write_text("others\n")
    found = put(pack, finished.results)
    why = {name.removeprefix("cell "): why for name, why in found.left}
    assert "it is cut off" in why[str(one)]
    assert "cannot be read" in why[str(two)]
    assert "cannot be read" in why["two/tiny/sequential/tree"]
    assert why["one/tiny/sequential/tree"] == f"{answers} is another file"
    assert finished.run(two).is_symlink()


def test_answers_that_are_being_made_get_no_record_of_another_run(finished: Finished, pack: Path) -> None:
    """`generate` writes answers first and the run record last."""
    finished.run(finished.cell()).unlink()
    finished.scores(finished.cell()).unlink()
    found = put(pack, finished.results)
    assert [why for _, why in found.left] == [
        f"{finished.run(finished.cell()).parent} holds answers of a run that is not over"
    ]
    assert not finished.run(finished.cell()).exists()


def test_a_refused_pack_puts_nothing_in_place(finished: Finished, pack: Path) -> None:
    data = pack.read_bytes()
    pack.write_bytes(data[: len(data) // 2])
    into = finished.folder / "new"
    with pytest.raises(UserError, match="cut off"):
        put(pack, into)
    assert list(into.iterdir()) == []
    with pytest.raises(UserError, match="is no folder"):
        unpack(pack, finished.config, MOST)
