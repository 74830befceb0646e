"""The judge: replies read as documented, failures missing and asked again, keys nowhere."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from branchwise.errors import UserError
from branchwise.evaluation.entries import JudgeEntry
from branchwise.evaluation.judge import (
    GRADES,
    grade_schema,
    judge_messages,
    prompt_version,
    read_verdict,
)
from branchwise.evaluation.judging import judge_rows
from branchwise.evaluation.score import score_answer
from branchwise.results import AnswerRow, Tokens

FOUR = {"fluency": 4, "relevance": 5, "completeness": 3, "proficiency": 2}


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        (json.dumps({"reasons": "fine", **FOUR}), FOUR),
        (f"```json\n{json.dumps(FOUR)}\n```", FOUR),
        (f"<think>{{}} a 1?</think>Here: {json.dumps(FOUR)} done", FOUR),
        (json.dumps({k: str(v) for k, v in FOUR.items()}), FOUR),
        (json.dumps({k: float(v) for k, v in FOUR.items()}), FOUR),
        ('{"note": 1} ' + json.dumps(FOUR), FOUR),
        (f"Example {json.dumps(dict.fromkeys(FOUR, 1))}. My verdict {json.dumps(FOUR)}", FOUR),
    ],
)
def test_replies_that_hold_a_verdict(text: str, grades: dict) -> None:
    assert read_verdict(text, "four").grades == grades


@pytest.mark.parametrize(
    "text",
    [
        *("", "<think>cut off", "I would say 4.", "[4, 5, 3, 2]", json.dumps(FOUR)[:-8]),
        json.dumps(FOUR | {"fluency": 6}),
        json.dumps(FOUR | {"fluency": 0}),
        json.dumps(FOUR | {"fluency": 3.5}),
        json.dumps(FOUR | {"fluency": True}),
        json.dumps(FOUR | {"fluency": "4/5"}),
        json.dumps(FOUR | {"fluency": float("nan")}),
        json.dumps(FOUR | {"fluency": float("inf")}),
        json.dumps({k: v for k, v in FOUR.items() if k != "relevance"}),
    ],
)
def test_replies_that_do_not_are_missing_never_a_three(text: str) -> None:
    # Error 16: an unreadable verdict becomes a middling score.
    reading = read_verdict(text, "four")
    assert reading.grades is None
    assert reading.problem


def test_the_prompt_is_versioned_and_marks_what_is_graded() -> None:
    assert prompt_version("four") != prompt_version("single")
    messages = judge_messages("single", "case", "why?", "because", "no idea")
    assert "<<<ANSWER\nno idea\nANSWER>>>" in messages[1]["content"]
    assert set(grade_schema("four")["required"]) == {"reasons", *GRADES["four"]}


class Server:
    """An OpenAI-compatible server that says what it is told, and notes what it is asked."""

    def __init__(self) -> None:
        self.replies: dict[str, list] = {}
        self.asked: list[dict] = []
        self.keys: set[str] = set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(body)
                server.keys.add(self.headers.get("Authorization", ""))
                text = body["messages"][1]["content"]
                answer = text.split("<<<ANSWER\n")[1].split("\nANSWER>>>")[0]
                queue = server.replies[answer]
                reply = queue.pop(0) if len(queue) > 1 else queue[0]
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                text = content if isinstance(content, str) else ""
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                payload = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
                data = json.dumps(payload | {"choices": [choice]}).encode()
                data = content if isinstance(content, bytes) else data
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def entry(self, **more) -> JudgeEntry:
        url = f"http://127.0.0.1:{self.http.server_port}/v1"
        fields = {"model": "m", "base_url": url, "rubric": "single", "max_attempts": 2, "timeout_s": 5}
        return JudgeEntry(**(fields | more))


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()


def row(number: int, answer: str) -> AnswerRow:
    zero = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)
    return AnswerRow(
        **{"group": "g", "question": f"q{number}", "text": "why?", "kind": "k", "answer_type": "text"},
        **{"golds": ("because",), "guess": None, "raw": answer, "answer": answer, "well_formed": True},
        **{"asks": (0,), "tokens": zero, "start_s": 0, "end_s": 0},
    )


def nothing(done: int, total: int) -> None:
    pass


def test_a_rerun_asks_only_for_what_is_missing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    good = json.dumps({"reasons": "r", "score": 4})
    server.replies = {
        "good": [good],
        "flaky": [(500, ""), good],
        "broken": ["no idea", good],
        "(no answer was given)": [json.dumps({"reasons": "empty", "score": 1})],
    }
    rows = [row(0, "good"), row(1, "flaky"), row(2, "broken"), row(3, "")]
    journal = tmp_path / "journal.jsonl"
    first = judge_rows(rows, {("g", "q0"): "the case"}, server.entry(), journal, nothing)
    assert [v.grades for v in first.verdicts] == [{"score": 4}, {"score": 4}, None, {"score": 1}]
    assert first.num_missing == 1
    assert first.problems == {"no JSON object": 1}
    assert "the case" in server.asked[0]["messages"][1]["content"] or len(server.asked) > 1
    assert server.asked[0]["response_format"]["type"] == "json_schema"
    asked = len(server.asked)
    second = judge_rows(rows, {("g", "q0"): "the case"}, server.entry(), journal, nothing)
    assert len(server.asked) == asked + 1
    assert second.num_missing == 0
    assert server.keys == {"Bearer sk-very-secret"}
    assert "secret" not in journal.read_text() + second.model_dump_json()


@pytest.mark.parametrize("body", [b"<html>busy</html>", b"", b"[]", b"null", b'{"choices": [{}]}'])
def test_a_body_that_is_no_reply_is_a_missing_verdict(
    server: Server, tmp_path: Path, body: bytes
) -> None:
    server.replies = {"x": [(200, body)]}
    record = judge_rows([row(0, "x")], {}, server.entry(), tmp_path / "j.jsonl", nothing)
    assert record.num_missing == 1


def test_a_server_that_fails_leaves_verdicts_missing(server: Server, tmp_path: Path) -> None:
    server.replies = {"x": [(503, "")]}
    entry = server.entry(max_attempts=1)
    record = judge_rows([row(0, "x")], {}, entry, tmp_path / "j.jsonl", nothing)
    assert (record.num_missing, record.problems) == (1, {"status 503": 1})
    score = score_answer(row(0, "x"), "overlap", record.verdicts[0])
    assert score.more["judge_score"] is None


def test_keys_come_from_the_environment(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    away = JudgeEntry(model="m", base_url="https://judge.invalid/v1", key_variable="JUDGE_KEY")
    with pytest.raises(UserError, match="needs a key in the environment variable JUDGE_KEY"):
        judge_rows([row(0, "x")], {}, away, tmp_path / "j.jsonl", nothing)
    server.replies = {"x": [(401, "")]}
    with pytest.raises(UserError, match="refused the key in OPENAI_API_KEY"):
        judge_rows([row(0, "x")], {}, server.entry(), tmp_path / "j.jsonl", nothing)
