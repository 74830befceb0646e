"""`branchwise mask`: file and figure of a group, redrawing without torch, and what is refused."""

from pathlib import Path

import pytest

from branchwise.masks import MaskRecord
from branchwise.results import read_json
from tests.commands.small import Small, branchwise, told, without_torch


@pytest.fixture
def small(tmp_path: Path, random_model_folder: Path) -> Small:
    return Small(tmp_path, random_model_folder)


def names(**more: str) -> list[str]:
    cell = {"dataset": "small", "model": "random", "strategy": "batch", **more}
    return [word for key, value in cell.items() for word in (f"--{key}", value)]


def test_a_group_is_recorded_and_drawn(small: Small, tmp_path: Path) -> None:
    stem = tmp_path / "masks/batch"
    groups = small.groups()
    done = small.run("mask", *names(), "--groups", groups, "--out", stem)
    assert done.exit_code == 0, done.output
    record = read_json(stem.with_suffix(".json"), MaskRecord)
    assert record.cell == {
        "dataset": "small",
        "model": "random",
        "strategy": "batch",
        "decoder": "tree",
    }
    assert [segment.label for segment in record.segments if segment.kind == "generated"] == [
        "Q1 answer",
        "Q2 answer",
        "Q3 answer",
    ]
    drawn = {suffix: stem.with_suffix(suffix).read_bytes() for suffix in (".svg", ".pdf", ".png")}
    again = tmp_path / "again"
    without_torch("mask", "--from", stem.with_suffix(".json"), "--out", again)
    assert not again.with_suffix(".json").exists()
    for suffix, content in drawn.items():
        assert again.with_suffix(suffix).read_bytes() == content
    # The same without a file of groups, and nothing drawn.
    made = tmp_path / "made"
    done = small.run("mask", *names(group=record.group), "--record-only", "--out", made)
    assert done.exit_code == 0, done.output
    assert read_json(made.with_suffix(".json"), MaskRecord) == record
    assert not made.with_suffix(".svg").exists()


def test_dependencies_are_read_or_found(small: Small, tmp_path: Path) -> None:
    groups, found = small.groups("own"), tmp_path / "found.jsonl"
    common = names(dataset="own", strategy="collab_gold")
    done = small.run(
        "depend --dependencies gold --dataset own --model random", "--groups", groups, "--out", found
    )
    assert done.exit_code == 0, done.output
    more = ("--groups", groups, "--dependencies", found, "--record-only", "--out", tmp_path / "read")
    assert small.run("mask", *common, *more).exit_code == 0
    assert small.run("mask", *common, "--record-only", "--out", tmp_path / "made").exit_code == 0
    read, made = (read_json(tmp_path / f"{name}.json", MaskRecord) for name in ("read", "made"))
    assert read == made
    assert "Q2 with known answers" in [segment.label for segment in read.segments]
    wrong = small.run("mask", *names(dataset="own"), *more)
    assert "follows no dependencies" in told(wrong)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "no group is named"),
        (["--from", "x.json", "--order", "random"], "--order random is none"),
        (["--dataset", "small", "--from", "x.json"], "--from stands beside --dataset"),
        (["--from", "none.json"], "none.json does not exist"),
        ([*names(group="nobody")], "has no group nobody among its 2"),
        ([*names(decoder="hf")], "decoder hf has no tree"),
        ([*names(settings="00000000")], "not 00000000"),
        (
            names(decoder="flexible"),
            "names flex",
        ),
    ],
)
def test_mistakes_are_told(small: Small, tmp_path: Path, words: list[str], problem: str) -> None:
    content = {**small.content["define"], "decoders": {"flexible": {"kind": "tree", "kernel": "flex"}}}
    small.change(define=content)

    done = small.run("mask", *words, "--out", tmp_path / "mask")
    assert problem in told(done)
    assert not (tmp_path / "mask.json").exists()


def test_an_unknown_group_of_a_file(small: Small, tmp_path: Path) -> None:
    more = ("--groups", small.groups(), "--out", tmp_path / "mask")
    assert "has no group nobody among its 2" in told(small.run("mask", *names(group="nobody"), *more))
    (tmp_path / "broken.json").write_text("{}")
    done = branchwise("mask", "--from", tmp_path / "broken.json", "--out", tmp_path / "mask")
    assert "is not a MaskRecord" in told(done)
