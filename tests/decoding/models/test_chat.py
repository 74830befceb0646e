"""Chat templates: with and without a system role, and none at all."""

from pathlib import Path

import pytest

from branchwise.decoding.models.chat import ChatTokenizer
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


def test_a_template_with_a_system_role_keeps_it(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, 512)
    chat = ChatTokenizer.load(tmp_path)
    assert not chat.merges_system
    assert chat.prompt_text(MESSAGES).startswith("<|im_start|>system\nBe brief.<|im_end|>\n")
    assert chat.prompt_text(MESSAGES).endswith("<|im_start|>assistant\n")


def test_no_template_and_no_tokenizer_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no chat template"):
        chat_with(tmp_path / "a", None)
    (tmp_path / "b").mkdir()
    (tmp_path / "b/config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(UserError, match="has no tokenizer"):
        ChatTokenizer.load(tmp_path / "b")
