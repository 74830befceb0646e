"""What is read from the replies of the tables, and from replies with many answers in every numbering."""

# ruff: noqa: E501 (a reply a line)

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.prompts.reading import tables
from tests.prompts.reading.forms import CHOICE_FORMS, NUMBERINGS, numbered_reply

from branchwise.data.types import LETTERS, AnswerType, Question
from branchwise.prompts import read_many, read_one
from branchwise.prompts.reading import CUT_RULES, JSON, JSON_BEGUN, ONE_RULES


def asked(answer: AnswerType = "span", options: tuple[str, ...] = (), text: str = "?") -> Question:
    return Question(id="q", text=text, golds=("x",), answer=answer, options=options)


ENGLISH = asked("choice", tables.ENGLISH_OPTIONS, "What is it?")
CHINESE = asked("choice", tables.CHINESE_OPTIONS, "下列正确的是")
WRONG = asked("choice", ("头痛", "咳嗽", "发热", "腹痛"), "下列错误的是")
NUMBER, SPAN, TEXT = asked("number"), asked("span"), asked("text")

CAPITAL = asked(text="What is the capital of France?")


@pytest.mark.parametrize(
    ("question", "reply", "answer"),
    [
        (question, reply, answer)
        for question, table in (
            (ENGLISH, tables.ENGLISH),
            (CHINESE, tables.CHINESE),
            (WRONG, tables.ASKS_FOR_WRONG),
            (NUMBER, tables.NUMBERS),
            (SPAN, tables.PHRASES),
        )
        for reply, answer in tables.replies(table)
    ],
)
def test_a_reply_is_read_right(question: Question, reply: str, answer: str) -> None:
    reading = read_one(reply, question, "line")
    assert reading.answer == answer
    assert bool(reading.rule) == bool(answer)


BY_RULE: dict[str, tuple[Question, str, str]] = {
    "letters": (ENGLISH, "A, C", "AC"),
    "words": (ENGLISH, "Rome.", "B"),
    "labels": (ENGLISH, "A. Oslo C. The man", "AC"),
    "boxed": (ENGLISH, r"So \boxed{\text{B}}", "B"),
    "answer": (ENGLISH, "The answer is B, and not A.", "B"),
    "called_answer": (ENGLISH, "B is the correct answer.", "B"),
    "chosen": (ENGLISH, "I would choose option C over A", "C"),
    "concluded": (ENGLISH, "A. no idea\nB. maybe\nTherefore, B.", "B"),
    "corrected": (ENGLISH, "The answer is A. Wait, actually C", "C"),
    "last_sentence": (ENGLISH, "Not A. B.", "B"),
    "first_sentence": (ENGLISH, "B because C is wrong", "B"),
    "verdicts": (ENGLISH, "A is wrong; C is right", "C"),
    "lines": (ENGLISH, "A. Oslo is named\nC. The man is named", "AC"),
    "mention": (ENGLISH, "Ashton (B)", "B"),
    "named": (ENGLISH, "The capital of Italy is Rome", "B"),
    "number": (NUMBER, "1,234.50", "1234.50"),
    "number_boxed": (NUMBER, r"2 games, \boxed{3}", "3"),
    "number_corrected": (NUMBER, "The answer is 3. Wait, actually 4.", "4"),
    "number_answer": (NUMBER, "In 2 games. The answer is 3.", "3"),
    "number_only": (NUMBER, "3 and not 4", "3"),
    "number_equation": (NUMBER, "2 + 3 = 5", "5"),
    "number_concluded": (NUMBER, "3 dogs and 4 cats, so 7 in total", "7"),
    "number_emphasised": (NUMBER, "They won **3** of 5 games", "3"),
    "number_line": (NUMBER, "They won 5 and 2 games\n3", "3"),
    "number_words": (NUMBER, "twenty-five", "25"),
    "phrase_boxed": (SPAN, r"\boxed{\text{Paris}}", "Paris"),
    "phrase_announced": (SPAN, "The answer is Paris.", "Paris"),
    "phrase_explained": (SPAN, "Paris\n\nExplanation: it is the capital.", "Paris"),
    "phrase_repeated": (SPAN, "Paris.\nParis.\nPar", "Paris"),
    "phrase_supported": (SPAN, "Paris\n\nThe text names it in its first line.", "Paris"),
    "phrase_restated": (CAPITAL, "The capital of France is Paris.", "Paris"),
    "phrase_emphasised": (SPAN, "It was **Paris** in the end.", "Paris"),
    "phrase_refused": (SPAN, "The passage does not mention it.", "no answer"),
    "phrase": (SPAN, "“Paris.”", "Paris"),
    "text": (TEXT, "答案：one\n2. two", "答案：one\n2. two"),
    "json": (ENGLISH, '{"answer": "B"}', "B"),
    "json_begun": (SPAN, '{"answer": "Paris', "Paris"),
}


@pytest.mark.parametrize(
    "rule", dict.fromkeys(rule for rules in ONE_RULES.values() for rule in (*rules, JSON, JSON_BEGUN))
)
def test_every_rule_reads_its_reply(rule) -> None:
    """A rule without a reply of its own fails here."""
    question, reply, answer = BY_RULE[rule.name]
    assert read_one(reply, question, "line")[::2] == (answer, rule.name)


BY_CUT = {
    "json_many": ('{"1": "Oslo", "2": "Rome", "3": "Cairo"}', SPAN),
    "json_some": ('[{"id": 1, "answer": "Oslo"}, {"id": 3, "answer": "Cairo', SPAN),
    "tags": ("<answer>Oslo</answer> <answer>Rome</answer> <answer>Cairo</answer>", SPAN),
    "numbered": ("(1) Oslo\n(2) Rome\n(3) Cairo", SPAN),
    "numbered_inside": ("1.Oslo 2.Rome 3.Cairo", SPAN),
    "numbered_some": ("1. Oslo\n3. Cairo", SPAN),
    "by_lines": ("Oslo\nRome\nCairo", SPAN),
    "by_paragraphs": ("Oslo\nNorway\n\nRome\n\nCairo", SPAN),
    "by_letters": ("B, C, A", ENGLISH),
}


@pytest.mark.parametrize("rule", CUT_RULES, ids=lambda rule: rule.name)
def test_every_rule_cuts_its_reply(rule) -> None:
    reply, question = BY_CUT[rule.name]
    readings = read_many(reply, (question,) * 3, "line")
    assert {reading.rule.split(" + ")[0] for reading in readings} - {""} == {rule.name}
    assert readings[0].answer in ("Oslo", "Oslo\nNorway", "B")
    assert readings[2].answer in ("Cairo", "A")


@pytest.mark.parametrize("gap", ["\n", "\n\n"])
@pytest.mark.parametrize("before", ["", "Here are the answers:\n"])
@pytest.mark.parametrize("form", NUMBERINGS)
def test_every_numbering_is_read(form: str, before: str, gap: str) -> None:
    answers = ["Oslo", "Rome", "Cairo"]
    readings = read_many(before + numbered_reply(form, answers, gap), (SPAN,) * 3, "line")
    assert [reading.answer for reading in readings] == answers
    assert not before or not any(reading.well_formed for reading in readings)


@pytest.mark.parametrize("form", NUMBERINGS)
def test_lists_inside_of_answers_stay_there(form: str) -> None:
    answers = ["1. a\n2. b\n3. c", "x", "first:\n1. d\n2. e\n\nthen:\n1. f\n2. g"]
    readings = read_many(numbered_reply(form, answers), (TEXT,) * 3, "line")
    assert [reading.answer for reading in readings] == answers


QUESTIONS = tuple(
    asked(text=text) for text in ("Where does Ann live?", "Where does Bob live?", "Who is Cai?")
)


@pytest.mark.parametrize(
    "reply",
    [
        "1. Where does Ann live?\n2. Where does Bob live?\n3. Who is Cai?\n\nAnswers:\n1. Oslo\n2. Rome\n3. Cairo",
        "1. **Where does Ann live?** Oslo\n2. **Where does Bob live?** Rome\n3. **Who is Cai?** Cairo",
        "Q1: Where does Ann live?\nA1: Oslo\nQ2: Where does Bob live?\nA2: Rome\nQ3: Who is Cai?\nA3: Cairo",
        "1. Nilo\n2. Rome\n3. Cairo\n\nFinal answers:\n1. Oslo\n2. Rome\n3. Cairo",
        "| # | Question | Answer |\n|---|---|---|\n| 1 | Where? | Oslo |\n| 2 | Where? | Rome |\n| 3 | Who? | Cairo |",
        "1. Oslo\n2. Rome\n3. Cairo\n\nI hope this helps!",
        "<think>1. no 2. no</think>1. Oslo\n2. Rome\n3. Cairo",
    ],
)
def test_questions_said_again_and_repeated_blocks(reply: str) -> None:
    assert [reading.answer for reading in read_many(reply, QUESTIONS, "line")] == [
        "Oslo",
        "Rome",
        "Cairo",
    ]


WORDS = st.lists(
    st.sampled_from("red blue green north south river stone".split()), min_size=2, max_size=4
)


@settings(max_examples=60)
@given(st.lists(WORDS.map(" ".join), min_size=2, max_size=10, unique=True), st.data())
def test_every_form_around_made_options(options: list[str], data: st.DataObject) -> None:
    question = asked("choice", tuple(options), "Which?")
    right = "".join(sorted(data.draw(st.sets(st.sampled_from(LETTERS[: len(options)]), min_size=1))))
    form = data.draw(st.sampled_from(sorted(CHOICE_FORMS)))
    assert read_one(CHOICE_FORMS[form](question, right), question, "line").answer == right


def test_an_options_word_is_no_filler_for_how_it_begins() -> None:
    """ "south" began with "so", and what stood before it was no part of the answer."""
    question = asked("choice", ("south red", "red red"), "Which?")
    assert read_one("正确答案：A. south red；B. red red。", question, "line").answer == "AB"
    assert read_one("The text says more, so B.", question, "line").answer == "B"


@pytest.mark.parametrize(
    "piece",
    [
        "1. ",
        "(((( ",
        "answer is ",
        "A B ",
        "\\boxed{",
        "<answer>",
        "1. a\n",
        "{",
        '{"answer":',
        "> ",
        "**",
        "\n",
        "\t \n",
        " ",
    ],
)
@pytest.mark.parametrize(("before", "behind"), [("", ""), ("The answer is ", "b."), ("1. a", "b")])
def test_a_long_reply_is_read_at_once(piece: str, before: str, behind: str) -> None:
    reply = before + piece * (100_000 // len(piece)) + behind
    for question in (ENGLISH, NUMBER, SPAN, TEXT):
        start = time.process_time()
        read_one(reply, question, "line")
        read_many(reply, (question,) * 5, "line")
        assert time.process_time() - start < 8  # a catastrophic pattern takes minutes


def test_form_is_judged_strictly() -> None:
    assert read_many("1. Oslo\n2. Rome", (SPAN, SPAN), "line")[0].well_formed
    assert not read_many("Oslo\nRome", (SPAN, SPAN), "line")[0].well_formed
    assert not read_one("The answer is Oslo.", SPAN, "line").well_formed
    assert read_one("Rome (B)", ENGLISH, "line").well_formed
    assert not read_one("<answer>Oslo", SPAN, "tag").well_formed
