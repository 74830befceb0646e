"""`branchwise show` as its users call it: a cell's answers, in a terminal and in a pipe."""

import re

import pytest

from tests.commands.small import Small, told

ANSI = re.compile(r"\x1b\[[0-9;]*m")
NAME = "small/random/batch/tree"


@pytest.fixture
def answered(small: Small) -> Small:
    """The small experiment with the answers and scores of one cell, where the workflow puts them."""
    from branchwise.config.identity import scores_path

    small.change(results=str(small.folder / "results"))
    experiment = small.experiment
    cell = next(one for one in experiment.cells if str(one) == NAME)
    scores = small.folder / "results/cells" / scores_path(experiment, cell)
    axes = [word for axis, name in cell._asdict().items() for word in (f"--{axis}", name)]
    words = (*axes, "--groups", small.groups(), "--out", scores.parent.parent)
    for done in (
        small.run("generate", *words),
        small.run("evaluate cell", "--cell", scores.parent.parent, "--out", scores),
    ):
        assert done.exit_code == 0, done.output
    return small


def test_a_cells_answers_in_a_pipe_and_in_a_terminal(answered: Small) -> None:
    piped = answered.run("show", NAME)
    assert piped.exit_code == 0, piped.output
    assert "\x1b" not in piped.stdout
    rows = [line.split("\t") for line in piped.stdout.splitlines()]
    assert [len(row) for row in rows] == 6 * [8]
    said = re.search(r"(\d) of 6 answers wrong \(exact match below 1\); 2 groups", piped.stderr)
    assert said and int(said[1]) == sum(float(row[5]) < 1 for row in rows) > 0
    wrong = answered.run("show", NAME, "--wrong", "--limit", 2, "--sort", "worst")
    assert len(wrong.stdout.splitlines()) == 2
    assert f"2 of {said[1]} shown; --limit {said[1]} shows all of them" in wrong.stderr

    terminal = answered.run("show", NAME, COLUMNS="80", FORCE_COLOR="1", TERM="xterm")
    assert "\x1b[" in terminal.stdout
    lines = ANSI.sub("", terminal.stdout).splitlines()
    assert lines[0] == f"{NAME}: {said[0]}"
    assert all(len(line.rstrip()) <= 80 for line in lines)
    for group in {row[0] for row in rows}:
        assert f"group {group}" in lines


def test_what_show_refuses_is_one_line(answered: Small) -> None:
    assert "no strategy batsh in trial; did you mean batch?" in told(
        answered.run("show", "small/random/batsh/tree")
    )
    assert "--wrong needs a cell; for example small/random/" in told(answered.run("show", "--wrong"))
    assert "--answers is about an experiment" in told(answered.run("show", NAME, "--answers"))
    assert "does not exist; run the stage" in told(answered.run("show", "small/random/sequential/tree"))
    cell = answered.folder / "results/cells" / NAME
    next(cell.glob("*/answers.jsonl")).unlink()
    for given in (NAME, cell):
        assert f"the answers of {NAME} are not kept beside its scores" in told(
            answered.run("show", given)
        )
