"""`branchwise judge`: a cell's answers to a server here, and what is told of verdicts that fail."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from branchwise.evaluation.judge import JudgeRecord
from branchwise.results import AnswerRow, Tokens, read_json, write_rows
from tests.commands.small import STATED, Small, told
from tests.evaluation.judge_server import Server

SETTINGS = "0a1b2c3d"
GOOD = json.dumps({"reasons": "r", "score": 4})


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


def row(question: dict, answer: str, group: str = "g") -> AnswerRow:
    zero = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)
    return AnswerRow(
        **{"group": group, "question": question["id"], "text": question["text"], "kind": "k"},
        **{"answer_type": "span", "golds": tuple(question["golds"]), "guess": None, "raw": answer},
        **{"answer": answer, "well_formed": True, "asks": (0,), "tokens": zero, "start_s": 0, "end_s": 1},
    )


def judge(small: Small, server: Server, answers: list[str], *words: object, **changes):
    """Judge a cell of one's own data with these answers."""
    rows = [row(question, one) for question, one in zip(STATED["questions"], answers, strict=True)]
    write_rows(small.folder / "cell" / SETTINGS / "answers.jsonl", rows)
    entry = server.entry(max_attempts=1, **changes)
    small.change(judge=entry.model_dump(mode="json"), judged=["own"])
    return small.run("judge", *words_of(small), *words)


def words_of(small: Small) -> tuple[object, ...]:
    return (
        *("--cell", small.folder / "cell", "--groups", small.groups("own")),
        *("--out", small.folder / "judged.json", "--journal", small.folder / "judge.jsonl"),
    )


def test_every_answer_is_graded_with_its_passage_and_reference(small: Small, server: Server) -> None:
    server.replies = {"Ashton": [GOOD], "far": [json.dumps({"reasons": "no", "score": 1})]}
    done = judge(small, server, ["Ashton", "far"])
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output
    record = read_json(small.folder / "judged.json", JudgeRecord)
    assert [(v.group, v.question, v.grades) for v in record.verdicts] == [
        ("g", "q1", {"score": 4}),
        ("g", "q2", {"score": 1}),
    ]
    texts = [body["messages"][1]["content"] for body in server.asked]
    assert all("Ashton lies by the sea." in text for text in texts)
    assert any("by the sea\nREFERENCE" in text for text in texts)


def test_missing_verdicts_are_told_and_the_next_run_asks_for_them_only(
    small: Small, server: Server
) -> None:
    server.replies = {"Ashton": [GOOD], "far": ["no idea", GOOD]}
    done = judge(small, server, ["Ashton", "far"])
    assert done.exit_code == 0
    assert "warning: 1 of 2 verdicts are missing: no verdict (1); delete judged.json" in done.stderr
    assert len(server.asked) == 2
    done = small.run("judge", *words_of(small))
    assert "warning" not in done.output
    assert len(server.asked) == 3
    assert read_json(small.folder / "judged.json", JudgeRecord).num_missing == 0


def test_of_many_reasons_the_commonest_are_told(small: Small, server: Server) -> None:
    questions = [{**STATED["questions"][0], "id": f"q{number}"} for number in range(8)]
    answers = [f"answer {number}" for number in range(7)] + ["answer 6 "]
    server.replies = {
        f"answer {number}": [(400, json.dumps({"error": {"message": f"reason {number}"}}).encode())]
        for number in range(7)
    }
    folder = small.folder / "cell" / SETTINGS
    write_rows(folder / "answers.jsonl", [row(q, one) for q, one in zip(questions, answers, strict=True)])
    small.change(judge=server.entry(max_attempts=1).model_dump(mode="json"))
    done = small.run("judge", *words_of(small))
    assert done.exit_code == 0
    assert "warning: 8 of 8 verdicts are missing: status 400: reason 6 (2), " in done.stderr
    assert done.stderr.count("status 400") == 5
    assert "and 2 others" in done.stderr


def test_an_experiment_without_a_judge_says_so(small: Small) -> None:
    said = told(small.run("judge", *words_of(small)))
    assert "experiment trial has no judge; add `judge:` to its config" in said


def test_a_folder_without_answers_and_one_with_several_are_named(small: Small, server: Server) -> None:
    small.change(judge=server.entry().model_dump(mode="json"))
    (small.folder / "cell").mkdir()
    assert "cell holds no answers.jsonl" in told(small.run("judge", *words_of(small)))
    for settings in (SETTINGS, "ffffffff"):
        write_rows(small.folder / "cell" / settings / "answers.jsonl", [])
    assert f"holds results of several settings: {SETTINGS}, ffffffff" in told(
        small.run("judge", *words_of(small))
    )
    assert not (small.folder / "judged.json").exists()


def test_a_key_that_is_refused_ends_it_and_is_shown_nowhere(small: Small, server: Server) -> None:
    server.replies = {"Ashton": [(401, "")], "far": [(401, "")]}
    secret = "sk-very-secret-1234567"
    small_words = {"OPENAI_API_KEY": secret}
    rows = [row(question, "far") for question in STATED["questions"]]
    write_rows(small.folder / "cell" / SETTINGS / "answers.jsonl", rows)
    small.change(judge=server.entry().model_dump(mode="json"))
    done = small.run("judge", *words_of(small), **small_words)
    assert "refused the key in OPENAI_API_KEY" in told(done)
    assert secret not in done.output
    files = [path for path in Path(small.folder).rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in path.read_bytes() for path in files)
