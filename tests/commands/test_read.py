"""`branchwise read`: a line in, a line out; bad lines are named."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from branchwise.commands import read as _  # noqa: F401 (registers the command)
from branchwise.commands.main import app

runner = CliRunner()


def test_a_reply_a_line(tmp_path: Path) -> None:
    rows = [
        {"reply": "**Answer:** B", "answer": "choice", "options": {"A": "x", "B": "y"}},
        {"reply": "（1）3个\n（2）−3", "answer": "number", "num_questions": 2},
        {"reply": "1. B\n2. Oslo", "answer": ["choice", "span"], "options": [["x", "y"], []]},
    ]
    file = tmp_path / "replies.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    result = runner.invoke(app, ["read", str(file)])
    first, second, third = (json.loads(line) for line in result.output.splitlines())
    assert first == {"answer": "B", "rule": "answer", "well_formed": False}
    assert [one["answer"] for one in second["answers"]] == ["3", "-3"]
    assert [one["answer"] for one in third["answers"]] == ["B", "Oslo"]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"answer": "span"}',
        '{"reply": "x", "answer": "word"}',
        '{"reply": "x", "more": 1}',
        '{"reply": "x", "answer": "choice", "options": {"A": "x", "C": "y"}}',
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "replies.jsonl"
    file.write_text('{"reply": "x"}\n' + line + "\n", encoding="utf-8")
    result = runner.invoke(app, ["read", str(file)])
    assert result.exit_code == 2
    assert "line 2" in result.output and "answer_format" in result.output
