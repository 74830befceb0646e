"""What may follow a prompt, by the form that answers are held to."""

import json
import string

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.data.types import LETTERS, Question
from branchwise.decoding.forms import JSON_TEXT, Form, pattern_of, problem_of
from branchwise.errors import UserError

SAID = st.text(string.ascii_letters + string.digits + " .,:;{}[]()|+*?^$\\\"'/é龘😀-&~#", min_size=1)


def questions(count: int, options: int = 0) -> list[Question]:
    return [
        Question(id=f"q{n}", text="Which?", golds=("A",), options=("an option",) * options)
        for n in range(1, count + 1)
    ]


def is_match(pattern: str, text: str) -> bool:
    return bool(regex.fullmatch(pattern, text))


def as_json(said: list[str]) -> str:
    if len(said) == 1:
        return json.dumps({"answer": said[0]}, ensure_ascii=False)
    items = [{"id": number, "answer": one} for number, one in enumerate(said, 1)]
    return json.dumps(items, ensure_ascii=False)


@given(said=st.lists(SAID.map(str.strip).filter(bool), min_size=1, max_size=4))
def test_every_list_of_answers_can_be_said_in_json(said: list[str]) -> None:
    pattern = pattern_of("json", questions(len(said)), "line")
    assert is_match(pattern, as_json(said))
    assert is_match(pattern, " " + as_json(said))


@given(text=st.from_regex(regex.compile(JSON_TEXT).pattern, fullmatch=True))
def test_what_the_form_lets_through_is_json_on_one_line(text: str) -> None:
    value = json.loads(f'{{"answer": "{text}"}}')["answer"]
    assert value.strip()
    assert "\n" not in value


def test_json_has_exactly_as_many_items_as_questions_in_order() -> None:
    pattern = pattern_of("json", questions(2), "line")
    assert is_match(pattern, as_json(["a", "b"]))
    for wrong in (as_json(["a"]), as_json(["a", "b", "c"]), as_json(["a", ""])):
        assert not is_match(pattern, wrong)
    assert not is_match(pattern, '[{"id": 2, "answer": "a"}, {"id": 1, "answer": "b"}]')
    assert not is_match(pattern, '[{"id": 1, "answer": "a\nb"}, {"id": 2, "answer": "b"}]')


@pytest.mark.parametrize(
    ("answer_format", "count", "right"),
    [
        ("line", 1, "{}"),
        ("letter", 1, "{}"),
        ("tag", 1, "<answer>{}</answer>"),
        ("json", 1, '{{"answer": "{}"}}'),
        ("line", 2, "1. {}\n2. {}"),
        ("tag", 2, "1. <answer>{}</answer>\n2. <answer>{}</answer>"),
        ("json", 2, '[{{"id": 1, "answer": "{}"}}, {{"id": 2, "answer": "{}"}}]'),
    ],
)
def test_a_choice_is_said_in_the_answer_format(answer_format: str, count: int, right: str) -> None:
    pattern = pattern_of("choice", questions(count, options=3), answer_format)
    for letter in LETTERS:
        said = right.format(*[letter] * count)
        assert is_match(pattern, said) == (letter in "ABC")
    assert not is_match(pattern, right.format(*["A, B"] * count))
    several = pattern_of("choice", questions(count, options=3), answer_format, several=True)
    for letters, fits in {"A": 1, "C": 1, "A, C": 1, "A, B, C": 1, "C, A": 0, "A, A": 0, "D": 0}.items():
        assert is_match(several, right.format(*[letters] * count)) == bool(fits)


@pytest.mark.parametrize(
    ("begun", "rest"),
    [
        ("", '{"answer": "x"}'),
        ('{"answer": "', 'x"}'),
        ('{"answer":', ' "x"}'),
        ('{"answer": ', '"x"}'),
        ('{ "answer":"', 'x"}'),
        ("{", '"answer": "x"}'),
        ('{"answer": "The ', 'x"}'),
        ("Answer:", ' {"answer": "x"}'),
        ("Answer: ", '{"answer": "x"}'),
    ],
)
def test_behind_a_beginning_only_the_rest_is_to_come(begun: str, rest: str) -> None:
    pattern = pattern_of("json", questions(1), "json", begun)
    assert is_match(pattern, rest)
    if begun.lstrip().startswith("{"):
        assert not is_match(pattern, '{"answer": "x"}')


def test_a_list_and_tags_may_be_begun_too() -> None:
    begun = '[{"id": 1, "answer": "'
    whole = as_json(["a", "b"])
    assert is_match(pattern_of("json", questions(2), "json", begun), whole.removeprefix(begun))
    tags = pattern_of("choice", questions(1, options=2), "tag", "<answer>")
    assert is_match(tags, "B</answer>")
    assert not is_match(tags, "<answer>B</answer>")
    assert is_match(pattern_of("choice", questions(1, options=2), "line", "Answer:"), " B")


def test_a_pattern_of_the_users_is_what_the_model_says() -> None:
    assert Form("regex", "[a-z]+").after("Answer:", questions(2), "tag") == "[a-z]+"


def test_a_choice_without_options_is_told() -> None:
    with pytest.raises(UserError, match="question q1 has no options"):
        pattern_of("choice", questions(1), "line")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("[", "cannot be followed: unclosed character class"),
        ("(?=a)b", "cannot be followed: look-around"),
        (r"(a)\1", "cannot be followed: backreferences"),
        (r"[^\s\S]", "is satisfied by no answer"),
        (r"a[^\s\S]", "is satisfied by no answer"),
        ("", "is satisfied by no answer"),
    ],
)
def test_a_pattern_that_no_answer_can_be_held_to(pattern: str, told: str) -> None:
    assert told in (problem_of(pattern) or "")


@settings(max_examples=30)
@given(count=st.integers(1, 4), options=st.integers(1, 10), several=st.booleans())
def test_every_form_can_be_followed(count: int, options: int, several: bool) -> None:
    for constrain in ("json", "choice"):
        for answer_format in ("line", "tag", "json"):
            pattern = pattern_of(constrain, questions(count, options), answer_format, "", None, several)
            assert problem_of(pattern) is None
