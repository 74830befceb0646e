"""Chat messages to token ids and back, for any tokenizer that carries a chat template."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from branchwise.decoding.models.templates import (
    FIXED_DATE,
    MEND,
    THOUGHT_TAGS,
    Template,
    close_thought,
    opens_thought,
    turn_end_ids_of,
)
from branchwise.decoding.models.text import added_tokens_of
from branchwise.decoding.models.weights import reason_of
from branchwise.errors import UserError

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)


class ChatTokenizer:
    """A Hugging Face tokenizer with the few calls that decoding needs.

    Messages become text by the tokenizer's own chat template and text becomes ids without special
    tokens added, so that every strategy and decoder sends the same ids for the same messages. Where
    a template refuses a system message, it is put on top of the first user message
    (`merges_system` is then true); where it takes content as a list of parts, it gets one.

    `thinking` lets a model think before it answers, if it can; `template_date` is the day that a
    template is told where it asks for today's. `notes` are plain sentences on what was changed about
    the prompts, for those who read the results; `turn_end_ids` end the assistant's turn. Raises
    UserError for a template that is missing, cannot be rendered, or loses what is said.
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str = "",
        thinking: bool = False,
        template_date: date = FIXED_DATE,
    ) -> None:
        name = name or tokenizer.name_or_path
        _check_template(tokenizer, name)
        self.tokenizer = tokenizer
        self.thinking = thinking
        self._template = Template(tokenizer, name, thinking, template_date)
        self._forms = self._template.forms()
        self._opens_thought = opens_thought(self._probe()) is not None
        tags = {tag for pair in THOUGHT_TAGS for tag in pair}
        self._tag_ids = {tag: i for tag, i in added_tokens_of(tokenizer).items() if tag in tags}
        self.notes = self._notes()

    @classmethod
    def load(
        cls, folder: Path, thinking: bool = False, template_date: date = FIXED_DATE
    ) -> "ChatTokenizer":
        """The tokenizer of a local folder. Raises UserError where there is none, or a broken one."""
        return cls(load_tokenizer(folder), str(folder), thinking, template_date)

    @property
    def merges_system(self) -> bool:
        """Whether the system's words go on top of the first user message."""
        return self._forms.system == "merged"

    @property
    def turn_end_ids(self) -> frozenset[int]:
        """Ids with which the template ends the assistant's turn."""
        return turn_end_ids_of(self.tokenizer)

    def _probe(self, template: Template | None = None) -> str:
        """A short prompt, as the template leaves it."""
        messages = self._forms.shape([{"role": "user", "content": "Who?"}])
        return (template or self._template).render(messages, generate=True)

    def _notes(self) -> tuple[str, ...]:
        notes = []
        if self.merges_system:
            notes.append(
                "the chat template has no system role: its text is put on top of the first user turn"
            )
        if self._opens_thought and not self.thinking:
            notes.append(
                "the chat template opens a thought in every prompt: it is closed at once, as thinking "
                "is off"
            )
        if self.thinking and not self._opens_thought:
            off = Template(self.tokenizer, self._template.name, False, self._template.today)
            if self._probe() == self._probe(off):
                notes.append("thinking is on, but the chat template has no switch for it")
        return tuple(notes)

    def prompt_text(self, messages: Sequence[Any], generate: bool = True) -> str:
        """The messages as the model reads them, up to where its own turn begins.

        Raises UserError where the template refuses them (their order of roles, say).
        """
        text = self._template.render(self._forms.shape(messages), generate)
        return close_thought(text) if generate and not self.thinking else text

    def encode(self, text: str) -> list[int]:
        """Token ids of a whole rendered prompt, no special token added."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def prompt_ids(self, messages: Sequence[Any]) -> list[int]:
        """Token ids of a prompt, up to where the model's own turn begins."""
        return self.encode(self.prompt_text(messages))

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def answer_text(self, ids: Sequence[int], text: str | None = None) -> str:
        """Text of a reply without the thought before it; empty where the thought never ended.

        `text` is given where a stop text has cut the reply. With thinking off the text stays whole, but
        for a thought between special tokens: these are not in the text, so no reader could tell.
        """
        said = self.decode(ids)
        is_marked = any(self._is_hidden(tag) and number in ids for tag, number in self._tag_ids.items())
        if not self.thinking and not is_marked:
            return said if text is None else text
        answer = self._after_thought(list(ids))
        if text is None:
            return answer
        # What the stop text has cut off the whole, it cuts off the answer.
        return answer[: max(len(answer) - (len(said) - len(text)), 0)]

    def _is_hidden(self, tag: str) -> bool:
        """Whether a tag is a special token, which `decode` leaves out."""
        return tag in self.tokenizer.all_special_tokens

    def _after_thought(self, ids: list[int]) -> str:
        """What stands behind the last end of a thought, whether that is one token or spelt out."""
        visible = self.tokenizer.decode(ids, skip_special_tokens=False)
        for start, end in THOUGHT_TAGS:
            if end in visible:
                number = self._tag_ids.get(end)
                last = len(ids) - ids[::-1].index(number) if number in ids else 0
                return self.decode(ids[last:]).rpartition(end)[2].lstrip()
            if start in visible:
                return ""
        return "" if self._opens_thought else self.decode(ids)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a local folder. Raises UserError where there is none, or a broken one."""
    from transformers import AutoTokenizer

    # transformers 5 makes an empty tokenizer, without a word, for a folder that has no files of
    # one; every prompt would then be empty.
    if not any((folder / name).exists() for name in TOKENIZER_FILES):
        raise UserError(
            f"model folder {folder} has no tokenizer",
            f"add its files ({', '.join(TOKENIZER_FILES)}: one of them)",
        )
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # its files are the user's, and what broken ones raise is not settled
        raise UserError(
            f"the tokenizer in {folder} cannot be loaded: {reason_of(error)}", "mend its files"
        ) from error
    ids = tokenizer.encode("Who is there?", add_special_tokens=False)
    if not ids or set(ids) == {tokenizer.unk_token_id}:
        raise UserError(
            f"the tokenizer in {folder} knows no words: its vocabulary is empty or of another kind",
            "download its files anew",
        )
    return tokenizer


def _check_template(tokenizer: Any, name: str) -> None:
    """Raises UserError where there is no template to take."""
    template = getattr(tokenizer, "chat_template", None)
    if not template:
        raise UserError(
            f"the tokenizer of {name} has no chat template",
            "use an instruct or chat model, or add chat_template.jinja to the model folder",
        )
    if isinstance(template, dict) and "default" not in template:
        raise UserError(
            f"the tokenizer of {name} has chat templates named {', '.join(sorted(template))}, and none "
            "named default",
            MEND,
        )
