"""Chat messages to token ids and back, for any tokenizer that carries a chat template."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from branchwise.decoding.models.plain import front_ids_of, plain_text
from branchwise.decoding.models.quoting import Quoting
from branchwise.decoding.models.templates import (
    FIXED_DATE,
    MEND,
    THOUGHT_TAGS,
    Forms,
    Template,
    close_thought,
    opens_thought,
    turn_end_ids_of,
)
from branchwise.decoding.models.text import added_tokens_of, continuation_ids_of
from branchwise.decoding.models.weights import reason_of
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.prompts.style import Form

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "spiece.model",
    "sentencepiece.bpe.model",
)


_PROBES = ("Who?", "1")
"""Beginnings of a turn that have no token in common."""
_ANSWER = "@@the answer stands here@@"


class Prompt(NamedTuple):
    """A rendered conversation: as it reads, and its token ids."""

    text: str
    ids: list[int]


class _Rendered(NamedTuple):
    """A rendered conversation in which control tokens that data spells stand behind a mark, if any do."""

    text: str
    mark: str

    @property
    def plain(self) -> str:
        return self.text.replace(self.mark, "") if self.mark else self.text


class ChatTokenizer:
    """A Hugging Face tokenizer with the few calls that decoding needs.

    Messages become text by the tokenizer's own chat template and text becomes ids without special
    tokens added, so that every strategy and decoder sends the same ids for the same messages. Where
    a template refuses a system message, it is put on top of the first user message
    (`merges_system` is then true); where it takes content as a list of parts, it gets one.

    What is said in messages is data, an assistant's too: a control token that it spells is sent as
    text (see `branchwise.decoding.models.quoting`), and only the template writes control tokens.

    `thinking` lets a model think before it answers, if it can; `template_date` is the day that a
    template is told where it asks for today's. `notes` are plain sentences on what was changed about
    the prompts, for those who read the results; `turn_end_ids` end the assistant's turn. Raises
    UserError for a template that cannot be rendered, or loses what is said.

    A tokenizer without a template reads prompts of form `completion` alone (`has_template`).
    """

    def __init__(
        self,
        tokenizer: Any,
        name: str = "",
        thinking: bool = False,
        template_date: date = FIXED_DATE,
    ) -> None:
        name = name or tokenizer.name_or_path
        self.name = name
        self.tokenizer = tokenizer
        self.thinking = thinking
        self._quoting = Quoting(tokenizer)
        self._template = Template(tokenizer, name, thinking, template_date)
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        if self.has_template:
            _check_default(tokenizer, name)
        self._forms = self._template.forms() if self.has_template else Forms()
        self._opens_thought = self.has_template and opens_thought(self._probe()) is not None
        tags = {tag for pair in THOUGHT_TAGS for tag in pair}
        self._tag_ids = {tag: i for tag, i in added_tokens_of(tokenizer).items() if tag in tags}
        self._shared: dict[tuple, list[int]] = {}
        self._alike: dict[str, frozenset[int]] = {}
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
        if self.thinking and self.has_template and not self._opens_thought:
            off = Template(self.tokenizer, self._template.name, False, self._template.today)
            if self._probe() == self._probe(off):
                notes.append("thinking is on, but the chat template has no switch for it")
        return tuple(notes)

    def check_form(self, form: "Form") -> None:
        """Raises UserError for a form of prompts that this tokenizer has no template for."""
        if form == "chat" and not self.has_template:
            raise UserError(
                f"the tokenizer of {self.name} has no chat template, but the prompt style is chat",
                "choose a prompt style of form completion (`style: completion`), use an instruct or chat "
                "model, or add chat_template.jinja to the model folder",
            )

    def prompt(
        self,
        messages: Sequence[Any],
        generate: bool = True,
        form: "Form" = "chat",
        begun: str = "",
    ) -> Prompt:
        """The messages as the model reads them, up to where its own turn begins, and `begun`, the
        pre-filled beginning of its answer.

        Raises UserError where there is no template for `form`, or it refuses them (their order of roles,
        say).
        """
        rendered = self._rendered(messages, generate, form, begun)
        ids = self._quoting.reader(rendered.mark).encode(rendered.text, add_special_tokens=False)
        if form == "completion":
            ids = [*front_ids_of(self.tokenizer), *ids]
        return Prompt(rendered.plain, ids)

    def prompt_text(
        self,
        messages: Sequence[Any],
        generate: bool = True,
        form: "Form" = "chat",
        begun: str = "",
    ) -> str:
        """The text of `prompt`."""
        return self._rendered(messages, generate, form, begun).plain

    def prompt_ids(
        self,
        messages: Sequence[Any],
        generate: bool = True,
        form: "Form" = "chat",
        begun: str = "",
    ) -> list[int]:
        """The token ids of `prompt`."""
        return self.prompt(messages, generate, form, begun).ids

    def next_turn_ids(
        self,
        before: Sequence[Any],
        further: Sequence[Any],
        form: "Form" = "chat",
        begun: str = "",
    ) -> list[int]:
        """What stands between an answer to `before` and the model's next answer: the end of that
        answer's turn, the `further` messages, and `begun`. As ids that go on from the answer's.

        Raises UserError for a template that does not keep what the assistant said.
        """
        answer = {"role": "assistant", "content": _ANSWER}
        text, mark = self._rendered([*before, answer, *further], True, form, begun)
        _, found, after = text.rpartition(_ANSWER)
        if not found:
            raise UserError(
                "the chat template drops what the assistant said", "use strategy collab instead"
            )
        return continuation_ids_of(self._quoting.reader(mark), after)

    def shared_ids(self, shown: Sequence[Any], form: "Form") -> list[int]:
        """Ids with which every prompt begins that begins with these messages, whatever is asked next."""
        key = (form, *((message["role"], message["content"]) for message in shown))
        if key not in self._shared:
            further = [{"role": "user", "content": probe} for probe in _PROBES]
            first, second = (self.prompt_ids([*shown, one], form=form) for one in further)
            pairs = zip(first, second, strict=False)
            alike = takewhile(lambda pair: pair[0] == pair[1], pairs)
            self._shared[key] = [left for left, _ in alike]
        return self._shared[key]

    def num_shared(self, ids: Sequence[int], shown: Sequence[Any], form: "Form" = "chat") -> int:
        """How many of a prompt's ids `shown`, the messages that it begins with, share with every such
        prompt; 0 where it does not begin with them, or is no longer than they are.
        """
        shared = self.shared_ids(shown, form)
        return len(shared) if len(shared) < len(ids) and list(ids[: len(shared)]) == shared else 0

    def _rendered(
        self, messages: Sequence[Any], generate: bool, form: "Form" = "chat", begun: str = ""
    ) -> _Rendered:
        """Messages in their form, control tokens in them marked as text."""
        mark = self._quoting.mark_for([text for message in messages for text in _said(message)])
        marked = [_each_said(m, lambda text: self._quoting.marked(text, mark)) for m in messages]
        if form == "completion":
            return _Rendered(plain_text(marked) + begun, mark)
        self.check_form(form)
        text = self._template.render(self._forms.shape(marked), generate)
        # A thought that data spells out at the very end is none that the template opened.
        opened = opens_thought(text) if generate and not self.thinking else None
        is_said = opened and mark and text.rstrip().endswith(mark + opened[0])
        text = close_thought(text) if opened and not is_said else text
        return _Rendered(text + begun, mark)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text as it is, no special token added: what spells a control token is one."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def tokens_like(self, pattern: str) -> frozenset[int]:
        """The ids of all tokens whose whole text, decoded alone, a regular expression matches."""
        if pattern not in self._alike:
            whole = re.compile(pattern)
            texts = ((token, self.decode([token])) for token in range(len(self.tokenizer)))
            self._alike[pattern] = frozenset(token for token, text in texts if whole.fullmatch(text))
        return self._alike[pattern]

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


def _each_said(message: Mapping[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """A message with each text in its content changed: the whole of it, or in a list of parts."""
    content = message["content"]
    if isinstance(content, str):
        content = change(content)
    elif isinstance(content, list):
        content = [
            part | {"text": change(part["text"])} if isinstance(part.get("text"), str) else part
            for part in content
        ]
    return {**message, "content": content}


def _said(message: Mapping[str, Any]) -> list[str]:
    """The texts in a message's content."""
    content = message["content"]
    parts = [{"text": content}] if isinstance(content, str) else content or []
    return [part["text"] for part in parts if isinstance(part.get("text"), str)]


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


def _check_default(tokenizer: Any, name: str) -> None:
    """Raises UserError where there are templates by name, and none to take."""
    template = tokenizer.chat_template
    if isinstance(template, dict) and "default" not in template:
        raise UserError(
            f"the tokenizer of {name} has chat templates named {', '.join(sorted(template))}, and none "
            "named default",
            MEND,
        )
