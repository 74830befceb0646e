"""`branchwise depend`: what it finds, what it refuses, and that a stopped one goes on."""

import json
from pathlib import Path

import pytest

from branchwise.cells import depending
from branchwise.config.stages import dependency_settings
from branchwise.data.groups_file import read_groups
from branchwise.files import value_hash
from branchwise.results import GroupDependencies, read_rows
from tests.commands.small import STATED, Small, told


def depend(small: Small, name: str, dataset: str = "small", *words: object, model: str = "random"):
    return small.run(
        "depend",
        *("--dependencies", name, "--dataset", dataset, "--model", model),
        *("--groups", small.groups(dataset), "--out", small.folder / f"{name}.jsonl", *words),
    )


def found(small: Small, name: str) -> list[GroupDependencies]:
    return list(read_rows(small.folder / f"{name}.jsonl", GroupDependencies))


def test_what_the_data_state_is_given_and_costs_nothing(small: Small) -> None:
    assert depend(small, "gold").exit_code == 0
    groups = read_groups(small.groups())
    rows = found(small, "gold")
    assert [row.group for row in rows] == [group.id for group in groups]
    for row, group in zip(rows, groups, strict=True):
        stated = {(needed, question.id) for question in group for needed in question.needs}
        assert stated
        assert set(row.edges) == set(row.known or ()) == stated
        assert (row.wall_s, row.tokens.sent, row.forward_passes) == (0, 0, 0)
    header = json.loads((small.folder / "gold.jsonl").read_text().splitlines()[0])
    wanted = dependency_settings(small.experiment, "gold", "small", "random")
    assert header["settings"] == value_hash(wanted)


def test_what_is_found_is_timed_and_stands_beside_what_the_data_state(small: Small) -> None:
    assert depend(small, "heuristic", "own").exit_code == 0
    (row,) = found(small, "heuristic")
    assert row.generator == "heuristic"
    assert row.known == (("q1", "q2"),)
    assert row.edges == (("q1", "q2"),)
    assert row.wall_s > 0


def test_a_model_that_is_asked_is_paid_for(small: Small) -> None:
    """Error 19 of the published systems: the dependency stage left out of the cost."""
    assert depend(small, "llm").exit_code == 0
    rows = found(small, "llm")
    assert len(rows) == 2
    for row in rows:
        assert row.tokens.sent > 0
        assert row.tokens.generated > 0
        assert row.forward_passes >= 1
        assert row.wall_s > 0


@pytest.mark.parametrize(
    ("name", "dataset", "words", "message"),
    [
        ("hueristic", "small", (), "unknown dependencies hueristic; did you mean heuristic"),
        ("none", "small", ("--settings", "00000000"), "dependencies none of small has settings "),
        ("none", "small", ("--dataset", "smal"), "unknown dataset smal; did you mean small"),
        ("none", "small", ("--model", "randm"), "unknown model randm; did you mean random"),
        ("none", "small", ("--groups", "/no/groups"), "groups file /no/groups does not exist"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    small: Small, name: str, dataset: str, words: tuple[str, ...], message: str
) -> None:
    assert message in told(depend(small, name, dataset, *words))
    assert not list(small.folder.glob("*.journal.jsonl"))
    assert not (small.folder / f"{name}.jsonl").exists()


def test_groups_of_another_data_set_are_refused(small: Small) -> None:
    other = ("--groups", small.groups("own"))
    assert "was made by other settings of its data set" in told(depend(small, "none", "small", *other))


def test_a_control_that_would_say_nothing_is_refused(small: Small) -> None:
    questions = [{**question, "needs": []} for question in STATED["questions"]]
    (small.folder / "own.jsonl").write_text(json.dumps({**STATED, "questions": questions}) + "\n")
    assert "dependencies gold are those that the data state, and these state none" in told(
        depend(small, "gold", "own")
    )
    assert depend(small, "none", "own").exit_code == 0


def test_a_stopped_stage_goes_on_and_finds_nothing_twice(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = depending.Depending.find

    def spied(self: depending.Depending, group) -> GroupDependencies:
        asked.append(group.id)
        if len(asked) == 3:  # the first group once before, untimed; itself; then the second
            raise KeyboardInterrupt
        return original(self, group)

    monkeypatch.setattr(depending.Depending, "find", spied)
    first, second = (group.id for group in read_groups(small.groups()))
    stopped = depend(small, "heuristic")
    assert stopped.exit_code == 130
    assert "the same command goes on from here" in stopped.output
    assert asked == [first, first, second]
    assert not (small.folder / "heuristic.jsonl").exists()
    (journal,) = small.folder.glob(".heuristic*")
    kept = json.loads(journal.read_text())["record"]
    assert depend(small, "heuristic").exit_code == 0
    assert asked[3:] == [second, second]
    assert found(small, "heuristic")[0].model_dump(mode="json") == kept
    assert not Path(journal).exists()
