"""`branchwise evaluate`: rows by hand and their mistakes; a cell's mistakes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from branchwise.commands.main import app
from branchwise.commands.registered import import_all
from tests.commands.small import Small, branchwise, told

ROW = {"prediction": "the Ashton", "golds": ["Ashton", "Rome"]}


def written(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_line_of_scores_a_row_and_blank_lines_are_none(tmp_path: Path) -> None:
    path = written(tmp_path, ROW, "", {"prediction": "", "golds": ["x"]}, " ")
    done = branchwise("evaluate", "rows", path, "--metric", "squad")
    assert done.exit_code == 0, done.output
    first, second = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["em"], first["f1"]) == (1, 1)
    assert (second["em"], second["f1"]) == (0, 0)


def test_rows_come_from_stdin_too() -> None:
    import_all()
    words = ["evaluate", "rows", "-", "--metric", "squad"]
    done = CliRunner().invoke(app, words, input=json.dumps(ROW) + "\n")
    assert json.loads(done.stdout)["em"] == 1


@pytest.mark.parametrize(
    ("rows", "metric", "message"),
    [
        ([ROW], "sqad", "unknown metric sqad; did you mean squad"),
        ([ROW, "", "{"], "squad", "rows.jsonl, row 3 is not JSON: "),
        ([ROW, ["a"]], "squad", "rows.jsonl, row 2: a row is an object with prediction and golds"),
        ([{"golds": ["a"]}], "squad", "row 1: a row is an object with prediction and golds"),
        ([{"prediction": "a"}], "squad", "row 1: neither golds nor gold is given"),
        ([{"prediction": "a", "golds": []}], "squad", "row 1: golds is empty"),
        ([{"prediction": 3, "golds": ["a"]}], "squad", "row 1: prediction is a text, not 3"),
        ([{"prediction": "a", "golds": [3]}], "squad", "row 1: golds are texts, not [3]"),
        ([{"prediction": [1], "golds": ["a"]}], "drop", "row 1: an answer is a text or a list of spans"),
        ([{"prediction": "ab", "golds": [1]}], "edges", "row 1: edges are pairs [needed, needing]"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: list, metric: str, message: str) -> None:
    done = branchwise("evaluate", "rows", written(tmp_path, *rows), "--metric", metric)
    assert message in told(done)
    # What stands before it is scored.
    sound = rows.index(rows[-1]) if metric == "squad" else 0
    assert len(done.stdout.splitlines()) == len([row for row in rows[:sound] if row])


def test_a_file_that_is_not_there_and_a_language_that_is_none(tmp_path: Path) -> None:
    missing = tmp_path / "none.jsonl"
    assert f"{missing} does not exist" in told(
        branchwise("evaluate", "rows", missing, "--metric", "squad")
    )
    words = ("--metric", "squad", "--language", "xx-none")
    assert "give another --language" in told(
        branchwise("evaluate", "rows", written(tmp_path, ROW), *words)
    )


def test_a_cell_that_is_not_there_is_named(small: Small) -> None:
    words = ("--cell", small.folder / "cell", "--out", small.folder / "scores.json")
    (small.folder / "cell").mkdir()
    assert "cell holds no run.json" in told(small.run("evaluate cell", *words))
    (small.folder / "cell/run.json").write_text("{}")
    said = told(small.run("evaluate cell", *words))
    assert "cell/run.json is not a RunRecord of schema version" in said
    assert not (small.folder / "scores.json").exists()
