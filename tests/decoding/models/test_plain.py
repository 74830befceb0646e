"""Prompts of form completion: one text, no template, the special tokens that a base model expects."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from branchwise.commands.prompting import resolved
from branchwise.config import load_experiment
from branchwise.config.shipped import ROOT
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.plain import front_ids_of, plain_text
from branchwise.prompts import PromptStyle, first_turn, single, turn
from branchwise.prompts.style import answer_form

TURNS = [
    {"role": "system", "content": "Answer."},
    {"role": "user", "content": "Question: Who?"},
    {"role": "assistant", "content": "Answer: Mara"},
    {"role": "user", "content": "Question: Where?"},
]


def test_turns_stand_one_under_the_other() -> None:
    assert plain_text(TURNS) == "Answer.\n\nQuestion: Who?\nAnswer: Mara\n\nQuestion: Where?\n"


@pytest.mark.parametrize(
    ("whole", "front"), [([1, 7], [1]), ([7], []), ([7, 2], []), ([1, 0, 7, 2], [1, 0])]
)
def test_what_a_tokenizer_puts_before_every_text(whole: list[int], front: list[int]) -> None:
    class Tokenizer(SimpleNamespace):
        def __call__(self, text: str):
            return {"input_ids": whole}

        def encode(self, text: str, add_special_tokens: bool) -> list[int]:
            return [7]

    assert front_ids_of(Tokenizer()) == front


@pytest.fixture(scope="module")
def chat(random_model_folder: Path) -> ChatTokenizer:
    return ChatTokenizer.load(random_model_folder)


@pytest.fixture(scope="module")
def style() -> PromptStyle:
    catalogues = load_experiment([ROOT / "config/demo.yaml"]).catalogues
    entry = catalogues.datasets["worlds_two_hop_g4"]
    return resolved("completion", catalogues.styles["completion"], entry)


def test_a_prompt_is_its_text_and_ends_in_the_beginning(chat: ChatTokenizer, style: PromptStyle) -> None:
    shot = style.shots[0]
    messages = single(shot, shot.questions[0], style)
    prompt = chat.prompt(messages, form="completion", begun="Answer:")
    assert prompt.text.endswith(f"Question: {shot.questions[0].text}\nAnswer:")
    assert "<|im_start|>" not in prompt.text
    assert prompt.ids == [*front_ids_of(chat.tokenizer), *chat.encode(prompt.text)]


@pytest.mark.parametrize("form", ["chat", "completion"])
def test_shared_ids_begin_every_prompt(chat: ChatTokenizer, style: PromptStyle, form: str) -> None:
    shot = style.shots[0]
    prompts = [single(shot, question, style) for question in shot]
    shared = chat.shared_ids(prompts[0][:-1], form)  # type: ignore[arg-type]
    assert shared
    for messages in prompts:
        ids = chat.prompt_ids(messages, form=form)  # type: ignore[arg-type]
        assert ids[: len(shared)] == shared and len(ids) > len(shared)


def test_a_further_turn_goes_on_from_the_answer(chat: ChatTokenizer, style: PromptStyle) -> None:
    first, second = style.shots[0].questions[:2]
    before = first_turn(style.shots[0], first, style)
    begun = answer_form(style, many=False).begun
    further = chat.next_turn_ids(before, [turn(second, style)], "completion", begun)
    assert chat.tokenizer.decode(further) == f"\n\nQuestion: {second.text}\nAnswer:"


def test_a_control_token_in_data_stays_text(chat: ChatTokenizer) -> None:
    control = chat.tokenizer.all_special_tokens[0]
    number = chat.tokenizer.convert_tokens_to_ids(control)
    messages = [{"role": "user", "content": f"Who said {control}?"}]
    prompt = chat.prompt(messages, form="completion", begun="Answer:")
    assert number not in prompt.ids and control in prompt.text
