"""Letters of a gold or of an answer that was read: nothing else may be there."""

import pytest

from branchwise.data.letters import letters_in


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        *[
            ("B", "B"),
            ("b.", "B"),
            ("(B)", "B"),
            ("CA", "AC"),
            ("A, C", "AC"),
            ("A和C", "AC"),
            ("A、C", "AC"),
        ],
        *[
            ("A and C", "AC"),
            ("(A)(C)", "AC"),
            ("The answer is (B).", "B"),
            ("答案：ABD。", "ABD"),
            ("Ａ", "A"),
        ],
    ],
)
def test_letters_that_are_answers(text: str, letters: str) -> None:
    assert letters_in(text) == letters


@pytest.mark.parametrize(
    "text",
    [
        "",
        "The man",
        "A man",
        "vitamin C",
        "D.C. is it",
        "Plan B",
        "The answer is a man",
        "not A",
        "D8",
        "ac",
    ],
)
def test_letters_that_are_not(text: str) -> None:
    # Error 14: the first letter anywhere is a choice.
    assert letters_in(text) == ""


def test_only_letters_of_options_count() -> None:
    assert letters_in("E", 4) == ""
    assert letters_in("E", 5) == "E"
