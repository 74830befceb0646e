"""Chat messages to token ids and back, for any tokenizer that carries a chat template."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from branchwise.errors import UserError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json")


class ChatTokenizer:
    """A Hugging Face tokenizer with the few calls that decoding needs.

    Messages become text by the tokenizer's own chat template and text becomes ids without special
    tokens added, so that every strategy and decoder sends the same ids for the same messages. Where
    a template refuses a system message, it is put on top of the first user message
    (`merges_system` is then true, and results say so).
    """

    def __init__(self, tokenizer: Any, name: str = "") -> None:
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(
                f"the tokenizer of {name or tokenizer.name_or_path} has no chat template",
                "use an instruct or chat model, or add chat_template.jinja to the model folder",
            )
        self.tokenizer = tokenizer
        self.merges_system = not self._takes_system()

    @classmethod
    def load(cls, folder: Path) -> "ChatTokenizer":
        """The tokenizer of a local folder. Raises UserError where there is none."""
        from transformers import AutoTokenizer

        # transformers 5 makes an empty tokenizer, without a word, for a folder that has no files of
        # one; every prompt would then be empty.
        if not any((folder / name).exists() for name in TOKENIZER_FILES):
            raise UserError(
                f"model folder {folder} has no tokenizer",
                f"add its files ({', '.join(TOKENIZER_FILES)}: one of them)",
            )
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"the tokenizer in {folder} cannot be loaded: {str(error).splitlines()[0]}",
                "mend its files",
            ) from error
        return cls(tokenizer, str(folder))

    def _takes_system(self) -> bool:
        """Whether the template keeps a system message; some raise, some drop it silently."""
        from jinja2.exceptions import TemplateError

        probe = "probe of the system role"
        messages = [{"role": "system", "content": probe}, {"role": "user", "content": "x"}]
        try:
            return probe in self.tokenizer.apply_chat_template(messages, tokenize=False)
        except TemplateError:
            return False

    def prompt_text(self, messages: Sequence[Any], generate: bool = True) -> str:
        """The messages as the model reads them, up to where its own turn begins."""
        messages = list(messages)
        if self.merges_system and messages and messages[0]["role"] == "system":
            system, user, *rest = messages
            merged = f"{system['content']}\n{user['content']}"
            messages = [{**user, "content": merged}, *rest]
        return self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=generate, enable_thinking=False
        )

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, no special token added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt_ids(self, messages: Sequence[Any]) -> list[int]:
        """Token ids of a prompt, up to where the model's own turn begins."""
        return self.encode(self.prompt_text(messages))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)
