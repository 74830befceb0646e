"""The judge: replies read as documented, failures missing and asked again, keys nowhere."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.evaluation.judge_server import Server

from branchwise.errors import UserError
from branchwise.evaluation.entries import JudgeEntry
from branchwise.evaluation.judge import grade_schema, judge_messages, prompt_version
from branchwise.evaluation.judging import judge_rows
from branchwise.evaluation.score import score_answer
from branchwise.evaluation.verdicts import GRADES, read_verdict
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
        (f"{json.dumps(dict.fromkeys(FOUR, 1))}\nCorrection:\n{json.dumps(FOUR)}", FOUR),
        (json.dumps({"verdict": FOUR, "reasons": "x"}), FOUR),
        (json.dumps({"example": dict.fromkeys(FOUR, 1), "verdict": FOUR}), FOUR),
        (json.dumps({"verdict": FOUR, "examples": [dict.fromkeys(FOUR, 1)]}), FOUR),
        (json.dumps({"first": dict.fromkeys(FOUR, 1), "corrected": FOUR}), FOUR),
        (json.dumps(FOUR | {"draft": dict.fromkeys(FOUR, 1)}), FOUR),
        (json.dumps({k: {"score": v, "reason": "r"} for k, v in FOUR.items()}), FOUR),
        (json.dumps({k.upper(): f"{v}/5" for k, v in FOUR.items()}), FOUR),
        (json.dumps({k: f"{v} out of 5" for k, v in FOUR.items()}), FOUR),
        (json.dumps({k: f"Score: {v}" for k, v in FOUR.items()}), FOUR),
        (json.dumps([{k: v} for k, v in FOUR.items()]), FOUR),
        (json.dumps([FOUR, FOUR]), FOUR),
        ("\n".join(f"- **{k.title()}:** {v}/5 - as it should be" for k, v in FOUR.items()), FOUR),
        (json.dumps(FOUR) + "\nFluency: 4, since it reads well", FOUR),
        ('{"reasons": "one\ntwo", ' + json.dumps(FOUR)[1:-1] + ",}", FOUR),
        (str({"reasons": "it's fine", **FOUR}), FOUR),
        ("{'reasons': 'it's \"fine\"', " + str(FOUR)[1:], FOUR),
        ('{"reasons": "said "well" twice", ' + json.dumps(FOUR)[1:], FOUR),
        ("{reasons: fine, " + ", ".join(f"{k}: {v}/5" for k, v in FOUR.items()) + "}", FOUR),
        (r'{"reasons": "it\'s $\frac{1}{2}$", ' + json.dumps(FOUR)[1:], FOUR),
        (f"As \\frac{{1}}{{2}} shows {{so}}: {json.dumps(FOUR)}", FOUR),
        (f"no thought was opened</think>{json.dumps(FOUR)}", FOUR),
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
        json.dumps(FOUR | {"fluency": "8/10"}),
        json.dumps(FOUR | {"fluency": "4-5"}),
        json.dumps(FOUR | {"fluency": "4 or 5"}),
        json.dumps(FOUR | {"fluency": "1 to 5"}),
        json.dumps(FOUR | {"fluency": "four"}),
        json.dumps(FOUR | {"fluency": [4]}),
        json.dumps(FOUR | {"fluency": None}),
        json.dumps(FOUR | {"fluency": {"score": 4, "rating": 3}}),
        json.dumps(FOUR | {"fluency": {"reason": "4"}}),
        json.dumps([FOUR, dict.fromkeys(FOUR, 1)]),
        json.dumps({"a": FOUR, "b": dict.fromkeys(FOUR, 1)}),
        json.dumps({"example": FOUR}),
        json.dumps({"reasons": json.dumps(FOUR)}),
        # What comes after a verdict and takes it back, in part or unreadably.
        json.dumps(FOUR) + " Correction: " + json.dumps({"fluency": 1}),
        json.dumps(FOUR) + " Correction: " + json.dumps(dict.fromkeys(FOUR, 1))[:-9],
        json.dumps(FOUR) + "\nFluency: 1",
        # Nearly JSON, whose grades could only be guessed.
        json.dumps(FOUR).replace("4,", "4, 5,"),
        json.dumps(FOUR).replace("4,", "4 out of 10,"),
        json.dumps(FOUR).replace("4,", "1 to 5,"),
        json.dumps(FOUR).replace("4,", "4"),
        json.dumps(FOUR).replace("4,", "?,"),
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


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        *(
            (text, 4)
            for text in ("4", "4/5", "4 out of 5.", "Score: 4", "**Score:** 4/5", "Final score: 4.0")
        ),
        ('{"score": 2}\nOn reflection:\nScore: 4', 4),
        ("Score (1-5): 4", 4),
        ('{"score": "4/5", "details": {"score": 1}}', 4),
        ('{"score": 4} A score of 5 would need dates.', 4),
        ('{"score": 4}\nScore: 5 would need dates.', None),
        ('{"score": 4}\nScore: 7', None),
        *(
            (text, None)
            for text in ("4.5", "8/10", "1. It names the town", "4 or 5", "Score: 4/10", "-4")
        ),
        *((text, None) for text in ("Score: 1 to 5", "Score:\n1. It is short", "It has 4 of 5 points.")),
        ('{"criteria": {"style": {"score": 2}, "facts": {"score": 4}}}', None),
        ('{"criteria": {"style": {"score": 2}, "overall": {"score": 4}}}', 4),
        ('[{"score": 2}, {"score": 4}]', None),
        ('{"score": {"score": 4, "reason": "r"}}', 4),
        ("{“score”: “4”}", 4),
        ("_Score_: **4**/5", 4),
        ('{"score": 4', None),
        ('{"score": 3} no: {"score": 4', None),
    ],
)
def test_one_score_is_read_by_the_stated_rules(text: str, grade: int | None) -> None:
    assert read_verdict(text, "single").grades == (None if grade is None else {"score": grade})


@pytest.mark.parametrize("text", ["{" * 4000, "[{" * 4000, '{"' * 4000, "_" * 4000, '{"score":' * 1000])
def test_a_reply_that_only_repeats_itself_is_read_at_once(text: str) -> None:
    start = time.perf_counter()
    assert read_verdict(text, "single").grades is None
    assert time.perf_counter() - start < 5


@given(st.integers(1, 5), st.text(max_size=40))
def test_whatever_stands_in_the_reasons_the_grade_is_the_judges(grade: int, reasons: str) -> None:
    text = json.dumps({"reasons": reasons, "score": grade}, ensure_ascii=False)
    assume("<think>" not in text and "</think>" not in text)
    assert read_verdict(text, "single") == ({"score": grade}, reasons, None)


@given(st.text(alphabet="{}[]\"',: 45score\n", max_size=40))
def test_any_reply_is_read_or_missing(text: str) -> None:
    reading = read_verdict(text, "single")
    assert (reading.grades is None) == (reading.problem is not None)


def test_the_prompt_is_versioned_and_marks_what_is_graded() -> None:
    assert prompt_version("four") != prompt_version("single")
    messages = judge_messages("single", "case", "why?", "because", "no idea")
    assert "<<<ANSWER\nno idea\nANSWER>>>" in messages[1]["content"]
    assert set(grade_schema("four")["required"]) == {"reasons", *GRADES["four"]}


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made


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
    assert first.problems == {"no verdict": 1}
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
    # The key itself, where its name belongs.
    with pytest.raises(ValidationError):
        JudgeEntry(model="m", key_variable="sk-very-secret")


def error_body(message: str, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "param": param, "type": "invalid"}}).encode()


def reasoning_model(body: dict) -> tuple[int, bytes] | None:
    """Refuses what the newer models refuse, in their server's words."""
    if "max_tokens" in body:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        )
        return 400, error_body(text, "max_tokens")
    if "temperature" in body:
        return 400, error_body("Unsupported value: 'temperature' does not support 0.", "temperature")
    return None


def test_parameters_that_a_server_refuses_are_left_out_and_remembered(
    server: Server, tmp_path: Path
) -> None:
    server.replies = {"x": [json.dumps({"score": 4})]}
    server.refuses = reasoning_model
    rows = [row(number, "x") for number in range(4)]
    for number, one in enumerate(rows):
        rows[number] = one.model_copy(update={"text": f"why {number}?"})
    record = judge_rows(rows, {}, server.entry(parallel=1), tmp_path / "j.jsonl", nothing)
    assert record.num_missing == 0
    assert record.adapted == ("max_completion_tokens in place of max_tokens", "no temperature")
    # Two refusals of the first request, and none after it.
    assert len(server.asked) == len(rows) + 2
    last = server.asked[-1]
    assert (last["max_completion_tokens"], "max_tokens" in last, "temperature" in last) == (
        512,
        False,
        False,
    )
    many = judge_rows(rows, {}, server.entry(), tmp_path / "other.jsonl", nothing)
    assert (many.num_missing, set(many.adapted)) == (0, set(record.adapted))
    assert len(many.adapted) == 2


def test_parameters_may_be_set_by_hand(server: Server, tmp_path: Path) -> None:
    server.replies = {"x": [json.dumps({"score": 4})]}
    server.refuses = reasoning_model
    by_hand = server.entry(limit_parameter="max_completion_tokens", temperature=None)
    record = judge_rows([row(0, "x")], {}, by_hand, tmp_path / "a.jsonl", nothing)
    assert (record.num_missing, record.adapted, len(server.asked)) == (0, (), 1)
    fixed = server.entry(limit_parameter="max_tokens")
    record = judge_rows([row(0, "x")], {}, fixed, tmp_path / "b.jsonl", nothing)
    (problem,) = record.problems
    assert problem.startswith("status 400: Unsupported parameter: 'max_tokens'")
    assert (record.num_missing, record.adapted, len(server.asked)) == (1, (), 2)


def test_a_refusal_that_no_change_helps_keeps_its_first_reason(server: Server, tmp_path: Path) -> None:
    server.replies = {"x": [json.dumps({"score": 4})]}
    server.refuses = lambda body: (
        400,
        error_body(
            "max_tokens is too large" if "max_tokens" in body else "unknown max_completion_tokens"
        ),
    )
    record = judge_rows([row(0, "x")], {}, server.entry(), tmp_path / "j.jsonl", nothing)
    assert record.problems == {"status 400: max_tokens is too large": 1}
    assert (len(server.asked), record.adapted) == (2, ())


@pytest.mark.parametrize(
    "body",
    [
        error_body("the context is\n  too long for KEY"),
        b'{"detail": "the context is too long for KEY"}',
        b'{"error": "the context is too long for KEY"}',
        b"the context is too long for KEY",
        error_body("the context is too long for EY-1234567"),
    ],
)
def test_the_servers_reason_is_told_without_the_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    secret = "q9/very+secret-key-of-mine-1234567"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    # Whole, or cut: what a server shows of a key is no reason either.
    body = body.replace(b"KEY", secret.encode()).replace(b"EY-", secret[:12].encode() + b"***")
    server.replies = {"x": [(400, body)]}
    record = judge_rows([row(0, "x")], {}, server.entry(), tmp_path / "j.jsonl", nothing)
    (problem,) = record.problems
    assert problem.startswith("status 400: the context is too long for")
    assert "\n" not in problem
    assert "secret" not in record.model_dump_json() and secret[:8] not in record.model_dump_json()


def test_a_long_reason_is_trimmed(server: Server, tmp_path: Path) -> None:
    server.replies = {"x": [(400, error_body("word " * 500))]}
    record = judge_rows([row(0, "x")], {}, server.entry(), tmp_path / "j.jsonl", nothing)
    (problem,) = record.problems
    assert len(problem) < 250 and problem.endswith("...")


def test_a_kept_reply_that_is_no_verdict_today_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.replies = {"x": [json.dumps({"score": 4})]}
    journal = tmp_path / "j.jsonl"
    judge_rows([row(0, "x")], {}, server.entry(), journal, nothing)
    journal.write_text(journal.read_text().replace('\\"score\\": 4', '\\"score\\": 9'))
    assert judge_rows([row(0, "x")], {}, server.entry(), journal, nothing).num_missing == 0
    assert len(server.asked) == 2
