"""`branchwise time`: the file that it writes, and what it refuses before it loads anything."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import Result

from branchwise.config.timing import contest_of, times_path
from branchwise.results import read_json
from branchwise.times import TimesRecord
from tests.commands.small import Small, told

COLLAB = {"strategies": ["batch", "collab_gold"]}


def time(small: Small, *words: object, decoder: str | None = "tree", out: str = "times.json") -> Result:
    named = ("--decoder", decoder) if decoder else ()
    return small.run(
        "time",
        *("--dataset", "small", "--model", "random", *named, "--groups", small.groups()),
        *("--out", small.folder / out, *words),
    )


def found(small: Small, name: str) -> Path:
    out = small.folder / f"{name}.jsonl"
    words = ("--dataset", "small", "--model", "random", "--dependencies", name)
    done = small.run("depend", *words, "--groups", small.groups(), "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_every_strategy_is_timed_with_the_dependencies_that_it_follows(small: Small) -> None:
    small.change(**COLLAB)
    contest = contest_of(small.experiment, "small", "random", "tree")
    assert contest is not None
    settings = times_path(small.experiment, contest).stem
    done = time(small, "--dependencies", f"gold={found(small, 'gold')}", "--settings", settings)
    assert done.exit_code == 0, done.output
    record = read_json(small.folder / "times.json", TimesRecord)
    assert Counter((run.strategy, run.again) for run in record.runs) == {
        ("batch", False): 2,
        ("collab_gold", False): 2,
        ("batch", True): 2,
    }
    assert not list(small.folder.glob("*journal*"))


def test_without_a_decoder_decoders_are_compared(small: Small) -> None:
    small.change(decoders=["tree", "hf"])
    done = time(small, decoder=None)
    assert done.exit_code == 0, done.output
    assert "timing small/random/all decoders" in done.stderr
    record = read_json(small.folder / "times.json", TimesRecord)
    assert {(run.strategy, run.decoder) for run in record.runs} == {("batch", "tree"), ("batch", "hf")}


@pytest.mark.parametrize(
    ("changes", "decoder", "words", "message"),
    [
        ({}, "tre", (), "unknown decoder tre; did you mean tree"),
        ({}, "tree", ("--dataset", "smal"), "unknown dataset smal; did you mean small"),
        ({}, "tree", ("--model", "randm"), "unknown model randm; did you mean random"),
        ({}, "hf", (), "trial has nothing to time for small/random/hf; see `branchwise cells`"),
        ({}, None, (), "has nothing to time for small/random on more than one decoder"),
        ({"timed_groups": 0}, "tree", (), "nothing to time for small/random/tree; see"),
        ({"datasets": ["own"]}, "tree", (), "has nothing to time for small/random/tree"),
        ({}, "tree", ("--settings", "00000000"), "the times of small/random/tree has settings "),
        (COLLAB, "tree", ("--dependencies", "gold"), "--dependencies gold is not NAME=FILE; write gold="),
        (COLLAB, "tree", ("--dependencies", "=x"), "--dependencies =x is not NAME=FILE"),
        (COLLAB, "tree", ("--dependencies", "gold="), "--dependencies gold= is not NAME=FILE"),
        (COLLAB, "tree", (), "collab_gold follows the dependencies gold; give --dependencies gold="),
        (COLLAB, "tree", ("--dependencies", "gld=x"), "collab_gold follows the dependencies gold"),
        (COLLAB, "tree", ("--dependencies", "gold=/no/file"), "/no/file does not exist"),
        ({"repeats": 2}, "tree", (), "2 repeats have no middle one"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing(
    small: Small, changes: dict, decoder: str | None, words: tuple[str, ...], message: str
) -> None:
    groups = small.groups()
    small.change(**changes)
    assert groups.exists()
    assert message in told(time(small, *words, decoder=decoder))
    assert not (small.folder / "times.json").exists()
    assert not list(small.folder.glob("*journal*"))


def test_groups_of_another_data_set_are_refused(small: Small) -> None:
    said = told(time(small, "--groups", small.groups("own")))
    assert "was made by other settings of its data set" in said


def test_dependencies_that_none_follows_are_passed_over(small: Small) -> None:
    """A file for each that any strategy follows may be given whatever is timed."""
    small.change(**COLLAB)
    given = f"gold={found(small, 'gold')}"
    small.change(strategies=["batch", "sequential"])
    assert time(small, "--dependencies", given).exit_code == 0
