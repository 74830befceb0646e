"""Which texts are kept as paraphrases, what a model is shown for them, and when two answers agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.data.types import Question
from branchwise.wordings.agreement import agreement
from branchwise.wordings.paraphrasing import (
    BEGUN,
    accepted,
    asked,
    demonstrations,
    paraphrase_in,
    problem_of,
    shown,
)

QUESTION = Question(
    id="q",
    text="Where does the baker Mara live?",
    golds=("Ashton", "the town of Ashton", "Mara"),
    kind="look_up",
)
KEPT = ["In which town does the baker Mara live?"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" ?! ", "empty"),
        ("the", "empty"),  # articles are no words of an answer, nor of a copy
        ("where does baker Mara live", "copy_of_question"),
        ("Where does the baker Mara live???", "copy_of_question"),
        (demonstrations()[0].question.upper(), "copy_of_demonstration"),
        (demonstrations()[4].paraphrases[4], "copy_of_demonstration"),
        ("In which town does Baker Mara live", "duplicate"),
        ("Does the baker Mara live in Ashton?", "answer_changed"),
        ("Where does the baker live?", "answer_changed"),  # Mara is named no longer
        ("Where is the home of the baker Mara?", None),
        ("Where in Ashtonville does Mara live?", None),  # words, not letters
    ],
)
def test_why_a_text_is_dropped(text: str, reason: str | None) -> None:
    assert problem_of(text, QUESTION, KEPT, "en") == reason


def test_words_are_those_of_the_language() -> None:
    question = Question(id="q", text="馬拉住在哪裡？", golds=("亞實頓",))
    assert problem_of("馬拉住在亞實頓嗎？", question, (), "zh") == "answer_changed"
    assert problem_of("馬拉住在哪裡", question, (), "zh") == "copy_of_question"
    assert problem_of("馬拉的家在哪？", question, (), "zh") is None


def test_of_a_choice_the_options_are_the_answers() -> None:
    question = Question(id="q", text="Who?", golds=("AC",), answer="choice", options=("Ann", "Bo", "Cy"))
    assert accepted(question) == ["Ann", "Cy"]
    assert problem_of("Is it Cy?", question, (), "en") == "answer_changed"
    assert problem_of("Is it Bo?", question, (), "en") is None


def test_spans_count_each() -> None:
    question = Question(id="q", text="Who?", golds=("Ann, Cy",), gold_spans=(("Ann", "Cy"),))
    assert problem_of("Is it Cy?", question, (), "en") == "answer_changed"


def test_each_round_shows_its_own_paraphrases_of_the_same_questions() -> None:
    rounds = [shown(number) for number in range(6)]
    assert len(demonstrations()) == 5
    assert rounds[0] == rounds[5]
    for messages in rounds:
        assert [m["content"] for m in messages if m["role"] == "user"] == [
            f"Question: {one.question}" for one in demonstrations()
        ]
    said = [m["content"] for messages in rounds[:5] for m in messages if m["role"] == "assistant"]
    assert len(set(said)) == 25
    assert all(text.startswith(f"{BEGUN} ") for text in said)


def test_demonstrations_pass_their_own_filters() -> None:
    texts = [text for one in demonstrations() for text in (one.question, *one.paraphrases)]
    assert len({text.casefold() for text in texts}) == 30


def test_a_question_of_several_lines_is_asked_on_one() -> None:
    assert asked("Who\nlives there?")["content"] == "Question: Who lives there?"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (" Who lives there?\nQuestion: Who?", "Who lives there?"),
        ("\n\nParaphrase: Who is it?", "Who is it?"),
        ("Who is it?", "Who is it?"),
        ("  \n", ""),
    ],
)
def test_the_first_line_is_kept(reply: str, text: str) -> None:
    assert paraphrase_in(reply) == text


# ----- agreement -----


@pytest.mark.parametrize(
    ("answer", "sample", "agrees"),
    [
        ("Ashton", "in Ashton", 1),
        ("the town of Ashton", "Ashton", 1),
        ("Ashton", "Ashtonville", 0),
        ("old town of Ashton", "old Ashton", 0),
        ("", "Ashton", 0),
        ("Ashton", "", 0),
        ("", "", 0),
        ("the", "the", 0),
    ],
)
def test_when_answers_agree(answer: str, sample: str, agrees: float) -> None:
    assert agreement(answer, [sample], "span", "en") == agrees
    assert agreement(sample, [answer], "span", "en") == agrees


def test_letters_are_no_articles() -> None:
    assert agreement("A", ["A", "B", "A C", "a"], "choice", "en") == 0.75


@given(st.text(max_size=8), st.lists(st.text(max_size=8), min_size=1, max_size=6))
def test_confidence_is_a_share(answer: str, samples: list[str]) -> None:
    share = agreement(answer, samples, "span", "en")
    assert 0 <= share <= 1
    assert share * len(samples) == pytest.approx(round(share * len(samples)))
