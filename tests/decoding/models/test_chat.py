"""Chat templates: what is said stands in the prompt, and nothing of today does."""

from datetime import date
from pathlib import Path

import pytest

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.facts import stop_ids_of
from branchwise.decoding.models.templates import turn_end_ids_of
from branchwise.errors import UserError
from branchwise.training.vocabulary import save_tokenizer

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
REFUSING = (
    "{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system role') }}{% endif %}<{{ m.role }}>{{ m.content }}{% endfor %}"
)
DROPPING = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}"


def chat_with(folder: Path, template: str | None) -> ChatTokenizer:
    save_tokenizer(folder, 512)
    if template is None:
        (folder / "chat_template.jinja").unlink()
    else:
        (folder / "chat_template.jinja").write_text(template)
    return ChatTokenizer.load(folder)


@pytest.mark.parametrize("template", [REFUSING, DROPPING])
def test_a_template_without_a_system_role_gets_it_in_the_user_turn(tmp_path: Path, template: str) -> None:
    chat = chat_with(tmp_path, template)
    assert chat.merges_system
    assert chat.prompt_text(MESSAGES) == "<user>Be brief.\nWho?"


def test_tokens_of_a_vocabulary_by_what_they_spell(tmp_path: Path) -> None:
    """By their whole text, a blank before it included."""
    save_tokenizer(tmp_path, 512, ("....", "a ...."))
    chat = ChatTokenizer.load(tmp_path)
    (dots,) = chat.tokens_like(r"\s*\.{2,}")
    assert chat.decode([dots]) == "...."
    assert chat.tokens_like("no such token") == frozenset()
    assert {chat.decode([token]) for token in chat.tokens_like(r"\s*home")} == {"home"}


def test_a_template_with_a_system_role_keeps_it(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, 512)
    chat = ChatTokenizer.load(tmp_path)
    assert not chat.merges_system
    assert chat.prompt_text(MESSAGES).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert chat.prompt_text(MESSAGES).endswith("<|im_start|>assistant\n")


def test_no_template_and_no_tokenizer_are_clear_errors(tmp_path: Path) -> None:
    chat = chat_with(tmp_path / "a", None)
    assert not chat.has_template
    with pytest.raises(UserError, match="no chat template, but the prompt style is chat") as error:
        chat.prompt_ids([{"role": "user", "content": "Who?"}])
    assert "style: completion" in error.value.remedy
    chat.check_form("completion")
    (tmp_path / "b").mkdir()
    (tmp_path / "b/config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(UserError, match="has no tokenizer"):
        ChatTokenizer.load(tmp_path / "b")


# ----- what is said is sent -----

TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Mara."},
    {"role": "user", "content": "Where?"},
]
PLAIN = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
IN_PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% if m.content is not string %}"
    "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}"
)
ANSWERS_IN_PARTS = (
    "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}"
    "{% for part in m.content if part is mapping %}{{ part.text }}{% endfor %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
)


@pytest.mark.parametrize("template", [PLAIN, IN_PARTS, ANSWERS_IN_PARTS])
def test_what_was_said_stands_in_the_prompt(tmp_path: Path, template: str) -> None:
    """As a list of parts where the template takes nothing else: a string once rendered to nothing."""
    said = "<system>Be brief.<user>Who?<assistant>Mara.<user>Where?"
    assert chat_with(tmp_path, template).prompt_text(TURNS) == said


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_template_that_loses_a_role_is_refused_by_name(tmp_path: Path, role: str) -> None:
    losing = f"{{% for m in messages if m.role != '{role}' %}}{{{{ m.content }}}}{{% endfor %}}"
    with pytest.raises(UserError, match=f"leaves out what is said in the {role} role"):
        chat_with(tmp_path, losing)


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ raise_exception('never') }}", "never"),
        ("{% for m in messages %}", "cannot render the roles"),
        ("{{ messages[0].content.nothing() }}", "cannot render the roles"),
    ],
)
def test_errors_of_a_template_are_lines(tmp_path: Path, template: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        chat_with(tmp_path, template)


def test_an_order_of_roles_that_a_template_refuses_is_named(tmp_path: Path) -> None:
    alternating = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}"
    )
    chat = chat_with(tmp_path, alternating)
    assert chat.merges_system
    with pytest.raises(UserError, match="cannot render the roles user, user: roles must alternate"):
        chat.prompt_text([{"role": "user", "content": "a"}] * 2)


def test_named_templates_need_a_default(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, 512)
    chat = ChatTokenizer.load(tmp_path)
    chat.tokenizer.chat_template = {"tool_use": PLAIN, "rag": PLAIN}
    with pytest.raises(UserError, match="named rag, tool_use, and none named default"):
        ChatTokenizer(chat.tokenizer)
    chat.tokenizer.chat_template = {"tool_use": "x", "default": PLAIN}
    assert ChatTokenizer(chat.tokenizer).prompt_text(TURNS).startswith("<system>Be brief.")


# ----- dates, ends and thoughts -----


def test_todays_date_is_in_no_prompt(tmp_path: Path) -> None:
    dated = "{{ strftime_now('%d %b %Y, %-d %%') }}" + PLAIN
    assert chat_with(tmp_path, dated).prompt_text(TURNS[1:2]) == "01 Jan 2025, 1 %<user>Who?"
    chat = ChatTokenizer.load(tmp_path, template_date=date(2024, 7, 26))
    assert chat.prompt_text(TURNS[1:2]).startswith("26 Jul 2024, 26 %")


def test_the_end_of_a_turn_is_read_from_the_template(tmp_path: Path) -> None:
    """Checkpoints whose end of sequence is another token ran on past the end of their turn."""
    chat = chat_with(tmp_path, "{% for m in messages %}{{ m.content }}<|im_end|>\n{% endfor %}")
    end = chat.tokenizer.convert_tokens_to_ids("<|im_end|>")
    chat.tokenizer.eos_token = "<|endoftext|>"
    assert chat.turn_end_ids == turn_end_ids_of(chat.tokenizer) == {end}
    config = type("Config", (), {"eos_token_id": None})
    model = type("Model", (), {"generation_config": config})
    assert stop_ids_of(model, chat.tokenizer) == {end, chat.tokenizer.eos_token_id}
    chat.tokenizer.chat_template = PLAIN
    assert not turn_end_ids_of(chat.tokenizer)


OPENING = PLAIN + "{% if add_generation_prompt %}<assistant><think>\n{% endif %}"


def test_a_thought_that_a_template_opens_is_closed_where_thinking_is_off(tmp_path: Path) -> None:
    chat = chat_with(tmp_path, OPENING)
    assert chat.prompt_text(TURNS[1:2]) == "<user>Who?<assistant><think>\n\n</think>\n\n"
    assert any("closed at once" in note for note in chat.notes)
    assert chat.answer_text(chat.encode("Mara.")) == "Mara."


def test_with_thinking_on_the_answer_is_what_follows_the_thought(tmp_path: Path) -> None:
    chat_with(tmp_path, OPENING)
    chat = ChatTokenizer.load(tmp_path, thinking=True)
    assert chat.prompt_text(TURNS[1:2]).endswith("<think>\n")
    assert chat.answer_text(chat.encode("Who is it? Mara?\n</think>\n\nMara.")) == "Mara."
    assert chat.answer_text(chat.encode("Who is it? Mara? Or")) == ""
    # Tags that are special tokens are not in the text at all.
    chat.tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", "</think>"]})
    special = ChatTokenizer(chat.tokenizer, thinking=True)
    assert special.answer_text(special.encode("Is it Nilo?</think>Mara.")) == "Mara."
    assert special.answer_text(special.encode("Is it Nilo?")) == ""


def test_thinking_is_a_setting_that_reaches_the_template(tmp_path: Path) -> None:
    switch = PLAIN + "{% if enable_thinking %}[on]{% else %}[off]{% endif %}"
    assert chat_with(tmp_path, switch).prompt_text(TURNS).endswith("[off]")
    assert ChatTokenizer.load(tmp_path, thinking=True).prompt_text(TURNS).endswith("[on]")
    chat_with(tmp_path, PLAIN)
    assert "no switch" in ChatTokenizer.load(tmp_path, thinking=True).notes[0]


def test_a_tokenizer_that_is_broken_is_a_line(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, 512)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match="cannot be loaded"):
        ChatTokenizer.load(tmp_path)
