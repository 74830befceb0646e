"""Sixty made replies, as models say them, each read as a person would read it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from branchwise.data.types import AnswerType, Question
from branchwise.prompts import read_many, read_one
from branchwise.prompts.reading import CONTINUED

GOLDEN = Path(__file__).parents[2] / "golden" / "replies.jsonl"
ROWS = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]


def question(row: dict[str, Any], text: str, number: int = 1) -> Question:
    options = tuple(row.get("options", ()))
    return Question(id=f"q{number}", text=text, golds=("?",), answer=row["answer"], options=options)


def test_the_table_has_ten_groups_of_six_replies() -> None:
    assert sorted(Counter(row["group"] for row in ROWS).values()) == [6] * 10
    assert len({row["reply"] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['group']}: {row['reply'][:40]!r}")
def test_a_reply_is_read_as_a_person_would(row: dict[str, Any]) -> None:
    """`expected` holds every answer that a person might mark in the reply."""
    if "questions" in row:
        asked = [question(row, text, number) for number, text in enumerate(row["questions"], start=1)]
        readings = read_many(row["reply"], asked, row["format"])
        accepted = row["expected"]
    else:
        readings = [read_one(row["reply"], question(row, row["question"]), row["format"])]
        accepted = [row["expected"]]
    assert [reading.answer in answers for reading, answers in zip(readings, accepted, strict=True)] == [
        True
    ] * len(accepted), readings
    assert all(bool(reading.rule) == bool(reading.answer) for reading in readings)


ASKED = {
    "capital": "What is the capital of France?",
    "built": "Who built the bridge of Ilmora?",
    "town": "In which town did the keeper of the tower live?",
    "many": "How many farms grow the pear?",
    "when": "When did the mill close?",
    "have": "What did the keeper have?",
    "blank": "Wool is shorn from [MASK].",
    "村": "建桥的人来自什么地方？",
}


def span(name: str) -> Question:
    return Question(id="q", text=ASKED[name], golds=("?",))


@pytest.mark.parametrize(
    ("name", "reply", "answer"),
    [
        (
            "capital",
            "According to the text, the capital of France is Paris, which lies on the Seine.",
            "Paris",
        ),
        ("capital", "Paris is the capital of France.", "Paris"),
        ("built", "The bridge of Ilmora was built by Clara Venn in 1868.", "Clara Venn"),
        ("built", "The builder Clara Venn built the bridge of Ilmora.", "The builder Clara Venn"),
        ("town", "The keeper of the tower lived in Sessby.", "Sessby"),
        ("town", "The keeper of the tower lived in the town of Sessby.", "Sessby"),
        ("many", "About 300 farms grow the pear.", "About 300"),
        ("when", "The mill closed in 1921.", "1921"),
        ("when", "The mill was closed on 3 May 1921.", "3 May 1921"),
        ("have", "The keeper had a grey dog.", "a grey dog"),
        ("blank", "Wool is shorn from sheep.", "sheep"),
        ("村", "建桥的人来自柳坞村。", "柳坞村"),
    ],
)
def test_the_answer_of_a_sentence_that_says_the_question_again(
    name: str, reply: str, answer: str
) -> None:
    reading = read_one(reply, span(name), "line")
    assert (reading.answer, reading.rule) == (answer, "phrase_restated")
    assert not reading.well_formed


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("capital", "It is Paris"),  # says nothing again
        ("capital", "The capital of France is not Paris"),
        ("capital", "capital of France"),
        ("capital", "The old capital of northern France is Paris"),  # more than the answer is new
        ("built", "In 1868 Clara Venn built the bridge of Ilmora"),
        ("built", "Clara Venn, the bridge of Ilmora"),
        ("have", "the keeper's grey dog"),  # a phrase, no sentence
        ("many", "Farms in the valley near Aspe and Nonn grow the pear"),
        ("blank", "Wool is spun from sheep"),
        ("村", "建桥的人来自南方，后来住在柳坞村"),
    ],
)
def test_what_is_not_sure_stays_whole(name: str, reply: str) -> None:
    reading = read_one(reply, span(name), "line")
    assert (reading.answer, reading.rule) == (reply, "phrase")


@pytest.mark.parametrize(
    "reply",
    [
        "The text does not mention it, but it was probably Paris",
        "I could find it: Paris",
        "no information but his name",
        "Paris. Lyon",
        "Duran Duran",
        "New York, New York",
        "8.8",
        "The **not** so old town",
        "**Paris**: a **city**",
        "Washington D.C. the capital",
        "Mr. Brand",
    ],
)
def test_what_only_looks_like_a_refusal_a_repeat_or_a_reason(reply: str) -> None:
    assert read_one(reply, span("when"), "line").answer == reply


def test_what_goes_on_is_cut_off_and_is_not_the_form_asked_for() -> None:
    for row in ROWS:
        if (
            row["group"] == "continued"
            and "\n" in row["reply"].strip()
            and "Paris\nP" not in row["reply"]
        ):
            reading = read_one(row["reply"], question(row, row["question"]), row["format"])
            assert reading.rule.startswith(f"{CONTINUED.name} + ")
            assert not reading.well_formed


@pytest.mark.parametrize(
    ("answer", "reply", "read"),
    [
        ("span", "Question: What is the capital of France?\nAnswer: Paris", "Paris"),
        ("span", "Question: What is it?\nAnswer: Paris", "Paris"),
        ("span", "Let me see.\nQuestion: What is the capital of France?\nAnswer: Paris", "Paris"),
        ("span", "Let me see the text.\nText: Paris is old.\nAnswer: Paris", "Paris"),
        ("span", "The next one is:\nQuestion: Where?\nAnswer: Paris", "Paris"),
        ("span", "<answer>Paris</answer>\nQuestion: Where?\nAnswer: <answer>Rome</answer>", "Paris"),
        ("span", "Paris\nUser: And of Spain?", "Paris"),
        ("text", "First.\nContext: the mill.\nQuestion: which one?", None),
        ("text", "First.\nQuestion: which one?\nAnswer: that one", "First."),
    ],
)
def test_what_is_a_models_own_question(answer: AnswerType, reply: str, read: str | None) -> None:
    asked = span("capital").model_copy(update={"answer": answer})
    assert read_one(reply, asked, "line").answer == (reply if read is None else read)


def test_many_answers_before_a_further_passage() -> None:
    two = (span("capital"), span("built"))
    goes_on = "\n\nPassage: The ferry has two masts.\n1. two\n2. Ole"
    readings = read_many("1. Paris\n2. Venn" + goes_on, two, "line")
    assert [reading.answer for reading in readings] == ["Paris", "Venn"]
    assert {reading.rule for reading in readings} == {"continued + numbered + phrase"}
    assert not any(reading.well_formed for reading in readings)
    quoted = "Text: The capital is Paris.\n1. Paris\n2. Venn"
    assert [reading.answer for reading in read_many(quoted, two, "line")] == ["Paris", "Venn"]


@pytest.mark.parametrize("reply", ["1. Paris\n2. Venn\n3. Ole\n4. two", "(1) Paris\n(2) Venn\n(3) Ole"])
def test_a_list_that_goes_on_beyond_the_questions(reply: str) -> None:
    two = (span("capital"), span("built"))
    readings = read_many(reply, two, "line")
    assert [reading.answer for reading in readings] == ["Paris", "Venn"]
    assert not any(reading.well_formed for reading in readings)
