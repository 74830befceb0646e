"""Answers are read tolerantly, form is judged strictly, and the two never mix."""

import pytest

from branchwise.data.types import Question
from branchwise.prompts import read_many, read_one

SPAN = Question(id="q", text="?", golds=("x",))
CHOICE = Question(
    id="q", text="?", golds=("A",), answer="choice", options=("Oslo", "Rome", "The man", "Cairo")
)


@pytest.mark.parametrize(
    ("text", "answer", "well_formed"),
    [
        ("Oslo", "Oslo", True),
        (" Oslo \n", "Oslo", True),
        ("", "", False),
        ("<think>hm\n</think>Oslo", "Oslo", True),
        ("<think>cut off in the mid", "", False),
        ("Oslo\nbecause", "Oslo\nbecause", False),
        ("<answer>Oslo</answer>", "Oslo", False),
    ],
)
def test_line(text: str, answer: str, well_formed: bool) -> None:
    assert read_one(text, SPAN, "line")[:2] == (answer, well_formed)


@pytest.mark.parametrize(
    ("text", "answer", "well_formed"),
    [
        ("<answer>Oslo</answer>", "Oslo", True),
        ("It is <answer>Oslo</answer>.", "Oslo", False),
        ("Oslo", "Oslo", False),
        ("<answer></answer>", "", False),
        ("<answer>cut off", "cut off", False),
    ],
)
def test_tag(text: str, answer: str, well_formed: bool) -> None:
    assert read_one(text, SPAN, "tag")[:2] == (answer, well_formed)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("B. Rome", "B"),
        ("The answer is B", "B"),
        ("A, C", "AC"),
        ("CA", "AC"),
        ("Rome", "B"),
        ("The man", "C"),
        ("A man who came", ""),
        ("The cat", ""),
        ("E", ""),
        ("", ""),
        ("Definitely nothing", ""),
    ],
)
def test_a_letter_counts_only_where_it_stands_for_an_option(text: str, answer: str) -> None:
    # Error 14: the first letter anywhere is a choice.
    assert read_one(text, CHOICE, "line").answer == answer


def test_a_missing_number_is_an_empty_answer() -> None:
    questions = (SPAN, SPAN, SPAN)
    readings = read_many("1. Oslo\n3. Rome", questions, "line")
    assert [r.answer for r in readings] == ["Oslo", "", "Rome"]
    assert [r.well_formed for r in readings] == [True, False, True]


def test_numbers_beyond_the_questions_and_repeats_are_not_answers() -> None:
    readings = read_many("1. Oslo\n1. Rome\n7. Cairo", (SPAN,), "line")
    assert readings[0].answer.splitlines()[0] == "Oslo"
    assert not readings[0].well_formed


def test_words_before_the_first_number_are_bad_form_but_not_bad_answers() -> None:
    readings = read_many("Here you are:\n1. Oslo\n2) Rome", (SPAN, SPAN), "line")
    assert [r.answer for r in readings] == ["Oslo", "Rome"]
    assert not any(r.well_formed for r in readings)
