"""Prompt styles: what every strategy is asked in each of them, on every data set that there is."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes import FakeDecoder

from branchwise.cells.runner import GroupRunner
from branchwise.commands.prompting import resolved
from branchwise.config import load_experiment
from branchwise.config.shipped import ROOT
from branchwise.data.shots import made_shots
from branchwise.data.types import Group, Question
from branchwise.decoding.loop import run
from branchwise.prompts import PromptStyle, reading_of, readings_of
from branchwise.prompts.rendering import FORMAT_RULES, everything, num_shown, single
from branchwise.prompts.style import answer_form, beginning, gold_of, reply, stop_texts
from branchwise.strategies import load

EXPERIMENT = load_experiment([ROOT / "config/demo.yaml"])
CATALOGUES = EXPERIMENT.catalogues
DATASETS = {entry.source: entry for entry in reversed(CATALOGUES.datasets.values())} | {
    f"worlds {entry.kinds[0]}": entry
    for entry in CATALOGUES.datasets.values()
    if entry.source == "worlds"
}
"""One of each source, and of each kind of worlds."""
STRATEGIES = ("all_in_one", "sequential", "batch", "collab")
FORMATS = tuple(FORMAT_RULES)


def chained(entry: Any) -> Group:
    """A group as that data set's, of two questions of which the second needs the first."""
    shot = made_shots(entry)[0]
    first, second = (*shot.questions, *shot.questions)[:2]
    questions = (
        first.model_copy(update={"id": "a", "text": "Asked first?", "needs": ()}),
        second.model_copy(update={"id": "b", "text": "Asked second?", "needs": ("a",)}),
    )
    return Group(id="own", context="A passage of its own.", questions=questions)


def asked(strategy: str, style: PromptStyle, group: Group) -> list[list[dict[str, str]]]:
    """The messages of every ask."""
    decoder = FakeDecoder(lambda request: "yes")
    runner = GroupRunner(load(strategy), decoder, None, style, 8)
    # Not timed: a timed run first collects garbage, which takes longer than the asking.
    done = run(runner.ask(group), runner.step)
    return [list(ask.messages or ()) for ask in done.trace.asks]


@pytest.mark.parametrize("name", CATALOGUES.styles)
@pytest.mark.parametrize("dataset", DATASETS)
def test_instruction_shots_and_questions_are_the_same_for_every_strategy(name: str, dataset: str) -> None:
    """Errors 20 and 29 of published systems: prompts that differ in more than the strategy."""
    entry, style_entry = DATASETS[dataset], CATALOGUES.styles[name]
    if style_entry.answer_format == "letter" and entry.scorer != "choice":
        pytest.skip("no options to take letters of")
    if style_entry.shots and entry.source == "jsonl":
        pytest.skip("own data ship no shots")
    style = resolved(name, style_entry, entry)
    group = chained(entry)
    rule = FORMAT_RULES[style.answer_format]
    golds = [gold_of(question) for shot in style.shots for question in shot]
    assert sum(map(len, style.shots)) == style_entry.shots
    for strategy in STRATEGIES:
        many = strategy == "all_in_one"
        prompts = asked(strategy, style, group)
        systems = {prompt[0]["content"] for prompt in prompts}
        # No blank where there is no rule.
        assert systems == {f"{style.instruction} {rule.many if many else rule.one}".rstrip()}
        for prompt in prompts:
            texts = "\n".join(message["content"] for message in prompt)
            for shot in style.shots:
                assert shot.context in texts
                assert all(question.text in texts for question in shot)
            own = 2 * len([p for p in prompts if len(p) < len(prompt)]) if strategy == "sequential" else 0
            said = [message["content"] for message in prompt if message["role"] == "assistant"]
            shown = said[: len(said) - own // 2]
            if many:
                wanted = [
                    reply(style, [gold_of(question) for question in shot], many=True)
                    for shot in style.shots
                ]
            else:
                wanted = [reply(style, [gold], many=False) for gold in golds]
            assert shown == wanted
            assert group.context in prompt[-1]["content"] or strategy == "sequential"
        last = [prompt[-1]["content"] for prompt in prompts]
        for question in group:
            assert sum(question.text in text.rpartition("Question: ")[2] for text in last) == 1 or many


def test_strategies_show_the_shots_in_their_own_form() -> None:
    entry = CATALOGUES.datasets["squad_g5"]
    style = resolved("completion", CATALOGUES.styles["completion"], entry)
    group = chained(entry)
    num_users = {
        strategy: [sum(m["role"] == "user" for m in prompt) for prompt in asked(strategy, style, group)]
        for strategy in STRATEGIES
    }
    assert num_users == {"all_in_one": [3], "sequential": [6, 7], "batch": [6, 6], "collab": [6, 6]}
    turns = asked("sequential", style, group)[0]
    passages = [m["content"].count("Text: ") for m in turns if m["role"] == "user"]
    assert passages == [1, 0, 0, 1, 0, 1]  # a passage once a conversation
    known = [m["content"] for m in asked("collab", style, group)[0] if "Known:" in m["content"]]
    assert len(known) == 1 and "Which engineer raised the Velm lighthouse? Odile Brandt" in known[0]
    assert not [m for prompt in asked("batch", style, group) for m in prompt if "Known:" in m["content"]]


def test_without_dependencies_collab_asks_what_batch_asks() -> None:
    entry = CATALOGUES.datasets["squad_g5"]
    style = resolved("completion", CATALOGUES.styles["completion"], entry)
    free = chained(entry)
    questions = tuple(question.model_copy(update={"needs": ()}) for question in free)
    free = free.model_copy(update={"questions": questions})
    assert asked("collab", style, free) == asked("batch", style, free)


def style_of(answer_format: str, form: str = "chat", prefilled: bool = False) -> PromptStyle:
    return PromptStyle(
        answer_format=answer_format,  # type: ignore[arg-type]
        form=form,  # type: ignore[arg-type]
        prefilled=prefilled,
        stop="form" if prefilled else "turn",
    )


STYLES = [
    style_of(answer_format, form, prefilled)
    for answer_format in FORMATS
    for form, prefilled in (("chat", False), ("chat", True), ("completion", True))
]
SPAN = Question(id="q", text="Which town?", golds=("x",))
LETTERS = Question(id="q", text="Which?", golds=("B",), answer="choice", options=("inn", "mill", "barn"))


def question_of(style: PromptStyle) -> Question:
    return LETTERS if style.answer_format == "letter" else SPAN


def answer_of(style: PromptStyle) -> str:
    return "B" if style.answer_format == "letter" else "the old town"


@pytest.mark.parametrize("style", STYLES, ids=str)
@pytest.mark.parametrize("num_questions", [None, 1, 3])
def test_a_right_reply_is_read_and_well_formed(style: PromptStyle, num_questions: int | None) -> None:
    question, answer = question_of(style), answer_of(style)
    if num_questions is None:
        said = reply(style, [answer], many=False)
        assert said.startswith(beginning(style, many=False))
        assert reading_of(said, question, style)[:2] == (answer, True)
        return
    questions = [question.model_copy(update={"id": f"q{n}"}) for n in range(num_questions)]
    said = reply(style, [answer] * num_questions, many=True)
    assert said.startswith(beginning(style, many=True))
    readings = readings_of(said, questions, style)
    assert [reading[:2] for reading in readings] == [(answer, True)] * num_questions


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("style", STYLES, ids=str)
def test_a_reply_that_its_stop_rule_cuts_is_whole_again(style: PromptStyle, many: bool) -> None:
    """What a model makes behind the beginning, and goes on with, is cut where the answer ends."""
    answers = [answer_of(style)] * (2 if many else 1)
    form = answer_form(style, many)
    whole = reply(style, answers, many)
    said = whole.removeprefix(form.begun) + "\n\nQuestion: Who?\nAnswer: Nobody"
    found = [said.index(stop) for stop in form.stop_texts if stop in said]
    assert bool(found) == (style.stop == "form" and style.answer_format != "free")
    if found:
        assert form.whole(said[: min(found)], cut=True) == whole


def test_a_prompt_ends_in_no_blank() -> None:
    """A vocabulary's words begin with theirs: behind one, a model would have to begin in the middle."""
    for style in STYLES:
        for many in (False, True):
            assert beginning(style, many) == beginning(style, many).rstrip()


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1))
def test_any_answer_comes_back_out_of_json(answer: str) -> None:
    style = style_of("json")
    said = reply(style, [answer], many=False)
    assert json.loads(said) == {"answer": answer}


def test_json_that_is_cut_off_gives_what_it_holds() -> None:
    style = style_of("json", prefilled=True)
    assert reading_of('{"answer": "Paris', SPAN, style) == ("Paris", False, "json_begun")
    assert reading_of('{"answer": "Pa\\"ris"', SPAN, style) == ('Pa"ris', False, "json_begun")
    questions = [SPAN.model_copy(update={"id": f"q{n}"}) for n in range(3)]
    said = '[{"id": 1, "answer": "Paris"}, {"id": 3, "answer": "Ro'
    readings = readings_of(said, questions, style)
    assert [(one.answer, one.well_formed) for one in readings] == [
        ("Paris", False),
        ("", False),
        ("Ro", False),
    ]
    assert readings[0].rule == "json_some + phrase"


def test_where_nothing_stops_by_form_the_model_ends_its_turn() -> None:
    assert stop_texts(PromptStyle(), many=False) == stop_texts(PromptStyle(), many=True) == ()


FREE = style_of("free")
TEXT = Question(id="q", text="Who are they?", golds=("x",), answer="text")
OUTLINE = "<answer>Two.</answer>\n1. A\n\n####Mara: baker\n\n####%%%%\nQuestion: Who?\nAnswer: Mara\n{}"


def test_a_free_text_is_the_whole_reply() -> None:
    assert reading_of(f"  {OUTLINE}\n", TEXT, FREE) == (OUTLINE, True, "text")
    # As an answer in a line it would end where a question of its own begins.
    assert reading_of(OUTLINE, TEXT, style_of("line")).answer != OUTLINE
    assert readings_of(OUTLINE, [TEXT], FREE) == [(OUTLINE, True, "text")]
    assert reading_of('{"answer": "x"}', TEXT, FREE).answer == '{"answer": "x"}'
    assert reading_of(" \n", TEXT, FREE) == readings_of("", [TEXT], FREE)[0] == ("", False, "")
    assert reading_of("<think>Mara?</think>Ben", TEXT, FREE).answer == "Ben"


@pytest.mark.parametrize("reply", ["Oslo", "It was in Oslo.\nAnswer: Oslo", '{"answer": "Oslo"}'])
def test_other_free_answers_are_read_as_in_a_line_and_are_well_formed(reply: str) -> None:
    line = reading_of(reply, SPAN, style_of("line"))
    assert reading_of(reply, SPAN, FREE) == line._replace(well_formed=True)
    assert line.answer == "Oslo"
    assert readings_of(reply, [SPAN], FREE)[0][:2] == ("Oslo", True)


def test_of_many_free_answers_each_has_its_number() -> None:
    questions = [SPAN, SPAN.model_copy(update={"id": "r"}), SPAN.model_copy(update={"id": "s"})]
    found = readings_of("So:\n1. Oslo\n3. **Rome**", questions, FREE)
    assert [one[:2] for one in found] == [("Oslo", True), ("", False), ("Rome", True)]


@pytest.mark.parametrize("answer_format", FORMATS)
def test_what_is_shown_is_counted_in_every_format(answer_format: str) -> None:
    """A free answer's prompts for one question and for many begin with the same message."""
    entry = CATALOGUES.datasets["worlds_choice_g6"]
    shots = made_shots(entry)
    style = style_of(answer_format).model_copy(update={"shots": shots})
    group = chained(entry)
    assert num_shown(single(group, group.questions[0], style), style) == 1 + 2 * sum(map(len, shots))
    assert num_shown(everything(group, style), style) == 1 + 2 * len(shots)
    assert len({1, len(shots), sum(map(len, shots))}) == 3


def test_a_solved_text_of_several_parts_is_shown_whole() -> None:
    parts = {"gold_spans": (("Mara: baker", "Ben: cook"),), "golds": ("Mara: baker; Ben: cook",)}
    assert gold_of(TEXT.model_copy(update=parts)) == "Mara: baker; Ben: cook"
    assert gold_of(SPAN.model_copy(update=parts)) == "Mara: baker, Ben: cook"
