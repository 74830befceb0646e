"""Letters count only where they stand for an option."""

import pytest

from branchwise.data.letters import letters_in


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        (r"$\boxed{B}$", "B"),
        ("B. Rome", "B"),
        ("B) because A is cheap", "B"),
        ("A: The man", "A"),
        ("The answer is B", "B"),
        ("the answer is b", "B"),
        ("The answer is:\nC", "C"),
        ("The correct option is: **B**", "B"),
        ("I think (B) is right", "B"),
        ("choose C because it rains", "C"),
        ("A. x\nB. y\nAnswer: B", "B"),
        ("A, C", "AC"),
        ("CA", "AC"),
        ("A and C", "AC"),
        ("(A) and (C)", "AC"),
        ("A、C", "AC"),
        ("答案是A", "A"),
        ("正确答案：ABD", "ABD"),
        ("故选C。", "C"),
        ("C选项", "C"),
        ("选项B正确", "B"),
        ("Ａ", "A"),
        ("答案是B。解析：选项A错误", "B"),
        ("选B，不选A", "B"),
        ("A选项错误，B选项正确", "B"),
        ("【答案】B", "B"),
        ("答案：(A)(C)", "AC"),
        ("The answer is B. Do not choose A.", "B"),
        ("The answer is B (not option A).", "B"),
        ("The answers are (A), (C) and (D)", "ACD"),
        ("Answer: **A**, **C**", "AC"),
        ("Answer: C\nA. foo is wrong", "C"),
        ("B\n\nExplanation: the text says so.", "B"),
        ("C is correct", "C"),
        ("Ashton (B)", "B"),
    ],
)
def test_letters_that_are_answers(text: str, letters: str) -> None:
    assert letters_in(text) == letters


@pytest.mark.parametrize(
    "text",
    [
        *("", "The man", "A man who came", "It is unclear", "The answer is a man", "vitamin C"),
        *("Washington D.C.", "Dr. A. Smith", "Plan B", "I am", "Grade A beef", "Answer: The man"),
        *("None of the above", "A big cat", "The answer is not B", "Not (A)", "Choose a card"),
    ],
)
def test_letters_that_are_not(text: str) -> None:
    # Error 14: the first letter anywhere is a choice.
    assert letters_in(text) == ""


def test_only_letters_of_options_count() -> None:
    assert letters_in("E", 4) == ""
    assert letters_in("E", 5) == "E"
