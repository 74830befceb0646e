"""One renderer: the same words for every strategy of a data set."""

from branchwise.data.types import Group, Question
from branchwise.prompts import PromptStyle, everything, numbered, read_many, single, turn

GROUP = Group(
    id="g",
    context="The mill stood by the river.",
    questions=(
        Question(id="q1", text="Where did it stand?", golds=("by the river",)),
        Question(id="q2", text="What stood?", golds=("B",), answer="choice", options=("inn", "mill")),
    ),
)
STYLE = PromptStyle()


def test_single_and_everything_share_instruction_and_context() -> None:
    one = single(GROUP, GROUP.questions[0], STYLE)
    all_of_them = everything(GROUP, STYLE)
    assert one[0]["content"].startswith(STYLE.instruction)
    assert all_of_them[0]["content"].startswith(STYLE.instruction)
    assert one[1]["content"] == "The mill stood by the river.\nQuestion: Where did it stand?"
    assert all_of_them[1]["content"] == (
        "The mill stood by the river.\nQuestions:\n"
        "1. Where did it stand?\n2. What stood?\nA. inn\nB. mill"
    )


def test_a_later_turn_is_the_question_alone() -> None:
    assert turn(GROUP.questions[1])["content"] == "Question: What stood?\nA. inn\nB. mill"


def test_known_answers_stand_between_context_and_question() -> None:
    first, second = GROUP.questions
    prompt = single(GROUP, second, STYLE, known=[(first, "by the river")])[1]["content"]
    assert "\nKnown:\nWhere did it stand? by the river\nQuestion: What stood?" in prompt


def test_a_question_may_bring_its_own_context() -> None:
    question = Question(id="q", text="Who?", golds=("x",), context="Its own passage.")
    group = Group(id="g", questions=(question,))
    assert single(group, question, STYLE)[1]["content"] == "Its own passage.\nQuestion: Who?"
    assert "Its own passage.\n1. Who?" in everything(group, STYLE)[1]["content"]


def test_a_right_numbered_reply_is_read_back() -> None:
    readings = read_many(numbered(["by the river", "B"]), GROUP.questions, "line")
    assert [(r.answer, r.well_formed) for r in readings] == [("by the river", True), ("B", True)]
