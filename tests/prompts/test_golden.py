"""Whole prompts, word for word: every strategy that asks, under every answer format."""

import json
from typing import Any

import pytest
from tests.fakes import FakeDecoder

from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group, Question
from branchwise.prompts import PromptStyle
from branchwise.strategies import load

GROUP = Group(
    id="g",
    context="The mill stood by the river.",
    questions=(
        Question(id="q1", text="Where did it stand?", golds=("by the river",)),
        Question(
            id="q2",
            text="What stood?",
            golds=("B",),
            answer="choice",
            options=("inn", "mill"),
            context="A note.",
            needs=("q1",),
        ),
    ),
)

RULES = {
    "line": ("Give only the answer.", "Give one numbered answer per line."),
    "tag": (
        "Put the answer between <answer> and </answer>.",
        "Give one line per question: its number, then the answer between <answer> and </answer>.",
    ),
}
REPLIES = {"line": ("by the river", "B"), "tag": ("<answer>by the river</answer>", "<answer>B</answer>")}
FORMATS = sorted(RULES)


def asked(strategy: str, answer_format: str, options: dict[str, Any] | None = None) -> list[list[tuple]]:
    """(role, content) of the messages of every ask."""
    replies = REPLIES[answer_format]

    def says(request) -> str:
        return replies["What stood?" in request.messages[-1]["content"]]

    style = PromptStyle(instruction="Read and answer.", answer_format=answer_format)  # type: ignore[arg-type]
    runner = GroupRunner(load(strategy, options), FakeDecoder(says), None, style, 8)
    return [
        [(message["role"], message["content"]) for message in ask.messages or ()]
        for ask in runner.once(GROUP).trace.asks
    ]


FIRST = "The mill stood by the river.\nQuestion: Where did it stand?"
SECOND = "The mill stood by the river.\nA note.\nQuestion: What stood?\nA. inn\nB. mill"


@pytest.mark.parametrize("answer_format", FORMATS)
def test_all_in_one(answer_format: str) -> None:
    """All questions at once have the rule for many: with the rule for one a model gives one answer."""
    many = RULES[answer_format][1]
    assert asked("all_in_one", answer_format) == [
        [
            ("system", f"Read and answer. {many}"),
            (
                "user",
                "The mill stood by the river.\nQuestions:\n1. Where did it stand?\n"
                "A note.\n2. What stood?\nA. inn\nB. mill",
            ),
        ]
    ]


@pytest.mark.parametrize("answer_format", FORMATS)
def test_batch(answer_format: str) -> None:
    one = f"Read and answer. {RULES[answer_format][0]}"
    assert asked("batch", answer_format) == [
        [("system", one), ("user", FIRST)],
        [("system", one), ("user", SECOND)],
    ]


@pytest.mark.parametrize("answer_format", FORMATS)
def test_sequential(answer_format: str) -> None:
    """The passage once, and what was said word for word, tags included."""
    one = f"Read and answer. {RULES[answer_format][0]}"
    assert asked("sequential", answer_format) == [
        [("system", one), ("user", FIRST)],
        [
            ("system", one),
            ("user", FIRST),
            ("assistant", REPLIES[answer_format][0]),
            ("user", "A note.\nQuestion: What stood?\nA. inn\nB. mill"),
        ],
    ]


@pytest.mark.parametrize("wait", ["needs", "layers"])
@pytest.mark.parametrize("answer_format", FORMATS)
def test_collab(answer_format: str, wait: str) -> None:
    """What is known stands as the answer that was read, without its tags."""
    one = f"Read and answer. {RULES[answer_format][0]}"
    known = (
        "The mill stood by the river.\nA note.\nKnown:\nWhere did it stand? by the river\n"
        "Question: What stood?\nA. inn\nB. mill"
    )
    assert asked("collab", answer_format, {"wait": wait}) == [
        [("system", one), ("user", FIRST)],
        [("system", one), ("user", known)],
    ]


def test_a_known_answer_takes_a_line_of_its_own_under_options() -> None:
    from branchwise.prompts import numbered, single

    turned = GROUP.questions[::-1]
    prompt = single(GROUP, turned[1], PromptStyle(), known=[(turned[0], "B")])
    assert prompt[1]["content"] == (
        "The mill stood by the river.\nKnown:\nWhat stood?\nA. inn\nB. mill\nB\n"
        "Question: Where did it stand?"
    )
    assert numbered(["a", "b"]) == "1. a\n2. b"
    alone = Group(id="h", questions=GROUP.questions[:1])
    assert (
        single(alone, alone.questions[0], PromptStyle())[1]["content"] == "Question: Where did it stand?"
    )


@pytest.mark.parametrize(("numbers", "answers"), [((1, 1), "ab"), ((1, 7), "ab"), ((2, 1), "ba")])
def test_numbers_of_a_json_list_count_where_each_is_there_once(numbers, answers: str) -> None:
    """Else its answers go by their places: a number that stands twice, or is of no question, is none."""
    from tests.fakes import group_of

    from branchwise.prompts import read_many

    reply = json.dumps([{"number": n, "answer": a} for n, a in zip(numbers, "ab", strict=True)])
    assert "".join(one.answer for one in read_many(reply, group_of(2).questions, "line")) == answers
