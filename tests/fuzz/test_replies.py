"""What models and servers say: whatever it is, it is read to an answer, to none, or to a fault that is
counted, and soon.
"""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from branchwise.data.style import AnswerFormat
from branchwise.data.types import Question
from branchwise.dependencies.llm import read_edges
from branchwise.errors import UserError
from branchwise.evaluation.metrics import SCORERS
from branchwise.evaluation.rows import ROW_METRICS, score_row
from branchwise.evaluation.verdicts import GRADES, read_verdict
from branchwise.prompts.outlining import points, read_outline
from branchwise.prompts.reading import read_many, read_one
from branchwise.serving.faults import Asked, Fault, of_error, wait_of
from branchwise.serving.prices import Price
from branchwise.serving.reading import Reader, Wanted, error_in
from branchwise.serving.replies import ServedReply
from branchwise.strategies.experts import documents_in
from branchwise.strategies.map_reduce import steps_in
from branchwise.wordings.paraphrasing import paraphrase_in, problem_of
from tests.conftest import ROOT
from tests.fuzz.hostile import WORDS, cases, changed, dumped, hostile, in_time, nested, texts

ONE = 1 + 1e-9
"""BLEU's own sum of logarithms may come out a hair above one."""

FORMATS = get_args(AnswerFormat)
QUESTIONS = [
    Question(id="q1", text="Who built the mill?", golds=("Ada Lind",)),
    Question(id="q2", text="How many crowns did it cost in 1808?", golds=("12",), answer="number"),
    Question(
        id="q3", text="Which?", golds=("B",), answer="choice", options=("the inn", "the mill", "no")
    ),
    Question(id="q4", text="谁建的？", golds=("林女士",), answer="text"),
    Question(id="q5", text="The mill was built by ____.", golds=("Ada",), answer="cloze"),
]
SEEN = [
    json.loads(line) for line in (ROOT / "tests/golden/replies.jsonl").read_text("utf-8").splitlines()
]
SAID = [one["reply"] for one in SEEN if isinstance(one.get("reply"), str)]
# What replies are made of: several of these in any order are near what a rule looks for.
PARTS = (
    *("<answer>", "</answer>", "<think>", "</think>", "[THINK]", "```json\n", "```", "{", "}", "[", "]"),
    *('{"answer": ', '"answer"', "'", '"', ":", ",", "\n", "\n\n", " ", ".", "\\boxed{", "}", "$", "**"),
    *(
        "1. ",
        "2) ",
        "Q1: ",
        "(3)",
        "10",
        "12",
        "1,808",
        "-3.5e7",
        "½",
        "twelve",
        "A",
        "B)",
        "(C)",
        "Option B",
    ),
    *(
        "The answer is ",
        "Answer:",
        "Final answer: ",
        "not ",
        "is correct",
        "is wrong",
        "Ada Lind",
        "the mill",
    ),
    *(
        "答案是",
        "选项",
        "一百二十",
        "###",
        "####",
        "Title:",
        "- ",
        "Score: 4",
        '{"score": 4}',
        '"score"',
        "4/5",
    ),
    *(
        '{"edges": [',
        '{"Q3": "Q1"}',
        '"order": ["Q1", "Q2"',
        "null",
        "NaN",
        "true",
        "// no",
        "Path 1:",
        "Document 2:",
    ),
    *(
        "Outline: ",
        "<Outline>",
        "yes",
        "no",
        "unknown",
        "CANNOTANSWER",
        "or",
        "and",
        "%",
        "°",
        "€",
        "\t",
        "—",
    ),
)
parts = st.lists(
    st.one_of(st.sampled_from(PARTS), st.sampled_from(WORDS), st.text(max_size=6)), max_size=30
)


@st.composite
def replies(draw: st.DrawFn) -> str:
    """A reply: parts in any order, one that was seen and is changed, JSON, or one that never ends."""
    how = draw(st.sampled_from(("parts", "parts", "seen", "json", "long", "cut")))
    if how == "parts":
        return "".join(draw(parts))
    if how == "json":
        return dumped(
            draw(changed(JSONS[draw(st.integers(0, len(JSONS) - 1))])), draw(st.booleans())
        ).decode("utf-8", "surrogatepass")
    if how == "long":
        # A model that goes round until its budget ends.
        unit = "".join(draw(st.lists(st.sampled_from(PARTS), min_size=1, max_size=4)))
        return (unit * LONGEST)[: draw(st.sampled_from((500, 3000, LONGEST)))] + draw(texts)
    text = draw(st.sampled_from(SAID))
    start = draw(st.integers(0, len(text)))
    return text[:start] if how == "cut" else text[:start] + "".join(draw(parts)) + text[start:]


LONGEST = 8000
"""Characters of a long reply: some 2,000 tokens."""

JSONS: tuple[Any, ...] = (
    {"answer": "Ada Lind"},
    {"answers": ["Ada", "12", "B", "x", "Ada"]},
    [{"question": 1, "answer": "Ada"}, {"question": 2, "answer": 12}],
    {"1": "Ada", "2": "12", "3": "B", "4": "x", "5": "y"},
    {"edges": [{"Q3": "Q1"}, {"source": "Q1", "target": "Q2"}, ["Q2", "Q1"]]},
    {"order": ["Q1", "Q2", "Q3"]},
    {"fluency": 4, "relevance": 3, "completeness": 5, "proficiency": 1, "reasons": "so"},
    {"score": 4, "reason": "good"},
)


def test_there_are_replies_to_change() -> None:
    assert len(SAID) > 50


@cases(0.3)
@given(text=replies(), number=st.integers(0, len(QUESTIONS) - 1), form=st.sampled_from(FORMATS))
def test_a_reply_to_one_question(text: str, number: int, form: AnswerFormat) -> None:
    with in_time():
        reading = read_one(text, QUESTIONS[number], form)
    assert isinstance(reading.answer, str) and isinstance(reading.well_formed, bool)
    assert reading.answer or not reading.well_formed, "nothing is well-formed"
    assert reading.rule or not reading.answer
    if number == 2:
        assert set(reading.answer.replace(",", "").replace(" ", "")) <= set("ABCDEFGHIJ"), reading
    assert reading == read_one(text, QUESTIONS[number], form)


@cases(0.15)
@given(text=replies(), count=st.integers(1, len(QUESTIONS)), form=st.sampled_from(FORMATS))
def test_a_reply_to_several_questions(text: str, count: int, form: AnswerFormat) -> None:
    with in_time():
        readings = read_many(text, QUESTIONS[:count], form)
    assert len(readings) == count
    assert all(one.answer or not one.well_formed for one in readings)


@cases(0.15)
@given(text=replies(), rubric=st.sampled_from(sorted(GRADES)))
def test_a_judges_reply(text: str, rubric: Any) -> None:
    with in_time():
        reading = read_verdict(text, rubric)
    assert (reading.grades is None) == (reading.problem is not None)
    if reading.grades is not None:
        assert reading.grades.keys() == GRADES[rubric].keys()
        assert all(type(grade) is int and 1 <= grade <= 5 for grade in reading.grades.values())


@cases(0.1)
@given(text=replies(), shape=st.sampled_from(("edges", "order")))
def test_a_planners_reply(text: str, shape: Any) -> None:
    ids = [question.id for question in QUESTIONS]
    with in_time():
        read = read_edges(text, ids, shape)
    for edge in read[0] or ():
        assert {edge.source, edge.target} <= set(ids) and edge.source != edge.target
        assert 0 <= edge.confidence <= 1


@cases(0.1)
@given(text=replies())
def test_outlines_plans_documents_and_paraphrases(text: str) -> None:
    with in_time():
        assert all(isinstance(one, str) and one for one in points(text))
        assert all(isinstance(block.title, str) for block in read_outline(text).blocks)
        assert all(steps_in(text))
        assert all(
            isinstance(one, str) for cut in ("documents", "lines") for one in documents_in(text, cut)
        )
        line = paraphrase_in(text)
        assert "\n" not in line
        problem_of(line, QUESTIONS[0], ["Who made it?"], "en")


@cases(0.1)
@given(
    text=replies(), metric=st.sampled_from(sorted(SCORERS)), golds=st.lists(texts, min_size=1, max_size=3)
)
def test_an_answer_that_is_scored(text: str, metric: str, golds: list[str]) -> None:
    with in_time():
        try:
            scores = score_row({"prediction": text[:2000], "golds": golds}, metric)
        except ValueError as error:  # of a row that has not the form of the metric
            assert str(error)
            return
    assert scores
    assert all(value is None or 0 <= value <= ONE for value in scores.values()), scores


@cases(0.1)
@given(data=st.data(), metric=st.sampled_from(ROW_METRICS))
def test_a_row_that_is_scored(data: st.DataObject, metric: str) -> None:
    row = data.draw(changed({"prediction": "Ada", "golds": ["Ada", "Lind"]}))
    with in_time():
        try:
            scores = score_row(row, metric)
        except ValueError as error:
            assert str(error)
            return
    assert all(value is None or 0 <= value <= ONE for value in scores.values()), scores


SERVED = {
    "id": "x",
    "model": "m",
    "choices": [
        {
            "finish_reason": "stop",
            "stop_reason": None,
            "text": "Ada",
            "message": {"role": "assistant", "content": "Ada", "reasoning_content": "so"},
            "error": None,
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
    "timings": {"prompt_ms": 1.5, "predicted_ms": 2.5},
    "system_fingerprint": "fp",
}
READER = Reader("m", None, Price(input=1.0, output=2.0, cached=0.5, date="2026-01-01"))
ASKED = Asked("http://localhost:1/v1", "m", "sk-secret-secret", "KEY")


@cases(0.15)
@given(
    data=st.data(), endpoint=st.sampled_from(("chat", "completions")), stops=st.lists(texts, max_size=2)
)
def test_the_body_of_a_servers_reply(data: st.DataObject, endpoint: Any, stops: list[str]) -> None:
    content = data.draw(changed(SERVED))
    if not isinstance(content, dict):
        return  # the client takes objects alone
    wanted = Wanted(endpoint, {"prompt": "Who?"}, 16, [stop for stop in stops if stop])
    with in_time():
        error = error_in(content, ASKED)
        assert error is None or isinstance(error, Fault | UserError)
        cost = READER.cost_of(content)
        assert 0 <= cost < float("inf")
        try:
            reply = READER.read(content, wanted, 0.1)
        except Fault as fault:
            empty = READER.empty(fault, 0.1)
            assert empty is None or empty.text == ""
            return
    # It is kept in a journal: what is written can be read again, and costs what it costs.
    assert ServedReply.model_validate_json(reply.model_dump_json()) == reply
    assert min(reply.prompt_tokens, reply.cached_tokens, reply.generated_tokens, reply.cost) >= 0


@cases(0.1)
@given(data=st.data(), status=st.integers(100, 999))
def test_the_body_of_a_servers_error(data: st.DataObject, status: int) -> None:
    body = {"error": {"message": "no sk-secret-secret here", "code": "c", "type": "t", "param": None}}
    content = data.draw(st.one_of(changed(body), hostile))
    with in_time():
        error = of_error(status, content, ASKED)
    assert isinstance(error, Fault | UserError)
    assert "sk-secret" not in str(error)


@cases(0.05)
@given(
    text=st.one_of(
        texts,
        st.sampled_from(
            (
                "nan",
                "inf",
                "-inf",
                "1e400",
                "-5",
                "Mon, 99 Foo 99999 99:99:99 +9999",
                "Fri, 31 Dec 9999 23:59:59 -2359",
                "1 Jan 1 00:00 +2359",
                "1" * 500,
            )
        ),
    )
)
def test_how_long_a_server_wants_to_be_left_alone(text: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = wait_of({name: text})
        assert wait is None or 0 <= wait < float("inf")


@pytest.mark.parametrize(
    "unit", ["\n", "\t", " ", "\n ", "\u3000", "a ", "###", "1\n", "Q1: a\n", "(a)", "**a**", "is the "]
)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("1. a", "b"), ("The answer is ", "b.")])
def test_a_model_that_goes_round(unit: str, before: str, after: str) -> None:
    """No rule may take the square of a reply's length, or its cube: models do end in line ends alone."""
    text = before + (unit * LONGEST)[:LONGEST] + after
    for question in QUESTIONS:
        with in_time():
            read_one(text, question, "line")
    with in_time():
        read_many(text, QUESTIONS, "line")
        read_edges(text, ["q1", "q2"], "edges")
        read_verdict(text, "four")
        points(text)
        documents_in(text)


@pytest.mark.parametrize(
    "opening", ["[", '{"answer":', "{'answer':", "((", "<answer>", "<think>", "\\text{", "```", "1. "]
)
def test_a_reply_that_opens_without_end(opening: str) -> None:
    text = (opening * LONGEST)[:LONGEST]
    for form in FORMATS:
        with in_time():
            for question in QUESTIONS:
                read_one(text, question, form)
            read_many(text, QUESTIONS, form)
    with in_time():
        read_edges(text, ["q1", "q2"], "edges")
        read_verdict(text, "four")
    assert nested(1) == [1]
