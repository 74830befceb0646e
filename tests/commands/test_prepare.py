"""`branchwise prepare` and `data-card`: what they say of files that are read, in part or not at all."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from branchwise.commands.main import app
from branchwise.commands.registered import import_all

QA = {"id": "a", "question": "Who?", "answers": [{"text": "Ada"}]}
PARAGRAPHS = [
    {"context": "Ada built it.", "qas": [QA, QA | {"id": 2}, QA | {"id": "c", "answers": [{"text": 7}]}]},
    {"context": "Ada kept it.", "qas": [QA | {"id": "d"}]},
]
CONTENT = json.dumps({"data": [{"title": "T", "paragraphs": PARAGRAPHS}]})


@pytest.fixture
def run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(root)
    import_all()

    def command(content: str, *words: str) -> Result:
        path = tmp_path / "squad.json"
        path.write_text(content)
        return CliRunner().invoke(app, [*words, "--path", str(path)])

    return command


def test_what_was_left_out_is_told(run, tmp_path: Path) -> None:
    out = str(tmp_path / "groups.jsonl")
    done = run(CONTENT, "prepare", "--dataset", "squad_g5", "--out", out)
    assert done.exit_code == 0
    left_out = "squad.json: left out data[0].paragraphs[0].qas[2]: answers.text.0: "
    assert f"warning: {tmp_path}/{left_out}" in done.output
    assert f"2 groups of 3 questions written to {out}, 1 rows left out\n" in done.output
    least = ("--set", "define={datasets: {large: {source: squad, min_questions: 2}}}")
    done = run(CONTENT, "prepare", "--dataset", "large", "--out", out, *least)
    assert "1 groups of 2 questions written" in done.output
    assert ", 1 rows left out, 1 passages or groups with too few questions left out\n" in done.output
    done = run(CONTENT, "data-card", "large", *least)
    assert "groups: 1, questions: 2, rows left out: 1, passages or groups with too few questions: 1" in (
        done.output
    )
    assert "size 5, questions kept, at least 2; scored as squad" in done.output


def test_a_file_without_a_good_row_is_named(run, tmp_path: Path) -> None:
    done = run("{}", "prepare", "--dataset", "squad_g5", "--out", str(tmp_path / "groups.jsonl"))
    assert done.exit_code == 2
    assert f"error: {tmp_path}/squad.json" in done.output
    assert done.output.count("squad.json") == 1


@pytest.mark.parametrize(
    "words", [("prepare", "--dataset", "squad_g5", "--out"), ("data-card", "squad_g5")]
)
def test_a_file_that_breaks_off_is_an_error(run, tmp_path: Path, words: tuple[str, ...]) -> None:
    out = (str(tmp_path / "groups.jsonl"),) if words[0] == "prepare" else ()
    done = run(CONTENT[:-9], *words, *out)
    assert done.exit_code == 2
    assert "squad.json cannot be read to its end: broken at data[0], line 1, column" in done.output
    assert not (tmp_path / "groups.jsonl").exists()
