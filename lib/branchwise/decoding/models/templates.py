"""Chat templates: programs that come with a model. What they do to a conversation is found out by trying.

Nothing from outside may change a prompt, so a template that asks for today's date gets a fixed one; and
nothing that was said may vanish, so the form in which a template takes content is looked for.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import product
from typing import Any, Literal, NamedTuple

from branchwise.decoding.models.text import added_tokens_of
from branchwise.errors import UserError

FIXED_DATE = date(2025, 1, 1)
"""The day that templates take for today, where a model's entry names no other."""

THOUGHT_TAGS = (
    ("<think>", "</think>"),
    ("<seed:think>", "</seed:think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
)
"""What opens and what closes a thought, in the models that have one."""

MEND = "mend chat_template.jinja (or `chat_template` in tokenizer_config.json) of the model folder"

_PROBES = (
    ("system", "probe of the system role"),
    ("user", "probe of a first question"),
    ("assistant", "probe of an answer"),
    ("user", "probe of a second question"),
)

# A macro of this name stands before the function that transformers gives to templates. It cannot be
# handed over as a value: of values, only data reaches a template.
_STRFTIME = (
    "{%- macro strftime_now(format) -%}{%- set made = namespace(text='') -%}"
    "{%- for piece in format.split('%%') -%}{%- set part = namespace(text=piece) -%}"
    "{%- for directive, value in fixed_moment.items() -%}"
    "{%- set part.text = part.text.replace(directive, value) -%}{%- endfor -%}"
    "{%- set made.text = made.text ~ ('' if loop.first else '%') ~ part.text -%}{%- endfor -%}"
    "{{- made.text -}}{%- endmacro %}\n"
)

Form = Literal["text", "parts", "merged"]


class Forms(NamedTuple):
    """How each role's content is sent: as text, as a list of parts, or (system) on top of the user's."""

    system: Form = "text"
    user: Form = "text"
    assistant: Form = "text"

    def shape(self, messages: Sequence[Any]) -> list[dict[str, Any]]:
        """The messages as the template takes them. Content that is no text is left as it is."""
        messages = [dict(message) for message in messages]
        if self.system == "merged" and messages and messages[0]["role"] == "system":
            system, *rest = messages
            said = [system["content"]]
            if rest and rest[0]["role"] == "user":
                said.append(rest.pop(0)["content"])
            messages = [{"role": "user", "content": "\n".join(said)}, *rest]
        for message in messages:
            if isinstance(message["content"], str) and getattr(self, message["role"], "") == "parts":
                message["content"] = [{"type": "text", "text": message["content"]}]
        return messages


class Template:
    """The chat template of a tokenizer, rendered with everything fixed that is not the conversation.

    `name` is what errors call its model; `thinking` switches a model's thoughts on and off, where the
    template has a switch for it; `today` is the day that it is told.
    """

    def __init__(
        self, tokenizer: Any, name: str = "", thinking: bool = False, today: date = FIXED_DATE
    ) -> None:
        self.tokenizer = tokenizer
        self.name = name or getattr(tokenizer, "name_or_path", "") or "the tokenizer"
        self.thinking = thinking
        self.today = today

    def render(self, messages: Sequence[Any], generate: bool) -> str:
        """The messages as text; with `generate`, up to where the model's own turn begins.

        Raises UserError, with the roles, for whatever the template raises.
        """
        try:
            return self.tokenizer.apply_chat_template(
                list(messages),
                tokenize=False,
                add_generation_prompt=generate,
                # Models name the switch in one of two ways.
                enable_thinking=self.thinking,
                thinking=self.thinking,
                **self._fixed(),
            )
        except Exception as error:  # a template is a program, not ours: it may raise anything
            roles = ", ".join(str(message["role"]) for message in messages)
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            line = getattr(error, "lineno", None)
            where = f" (line {line})" if line else ""
            raise UserError(
                f"the chat template of {self.name} cannot render the roles {roles}: {reason}{where}",
                MEND,
            ) from error

    def _fixed(self) -> dict[str, Any]:
        """What makes a template that asks for the date say the same every day; nothing for others."""
        source = self.tokenizer.get_chat_template()
        if "strftime_now" not in source:
            return {}
        return {"chat_template": _STRFTIME + source, "fixed_moment": _directives(self.today)}

    def forms(self) -> Forms:
        """The first forms in which all that is said in several turns stands in the prompt.

        Raises UserError naming a role whose words get lost in every form.
        """
        for forms in _all_forms(("text", "parts", "merged")):
            probes = _PROBES if forms.system != "merged" else _PROBES[1:]
            if not self._lost(forms, probes):
                return forms
        self._blame()
        raise UserError(
            f"the chat template of {self.name} takes no conversation with a system role or without", MEND
        )

    def _lost(self, forms: Forms, probes: Sequence[tuple[str, str]]) -> list[str]:
        """Roles whose words are not in the prompt; the last one's where the template raises."""
        messages = [{"role": role, "content": words} for role, words in probes]
        try:
            text = self.render(forms.shape(messages), generate=True)
        except UserError:  # another form may do; `_blame` tells the reason if none does
            return [probes[-1][0]]
        return [role for role, words in probes if not _stands(words, text, getattr(forms, role))]

    def _blame(self) -> None:
        """Raise UserError for the shortest conversation that no form brings through."""
        for length in range(1, len(_PROBES)):
            probes = _PROBES[1 : 1 + length]
            lost = [self._lost(forms, probes) for forms in _all_forms(("merged",))]
            if not all(lost):
                continue
            # Raises by itself if it is an error of the template's.
            messages = [{"role": role, "content": words} for role, words in probes]
            self.render(messages, generate=True)
            raise UserError(
                f"the chat template of {self.name} leaves out what is said in the {lost[0][-1]} role, "
                "as text and as a list of parts",
                MEND,
            )


def _all_forms(system: Sequence[Form]) -> Iterator[Forms]:
    """Every choice of forms, those with more plain text first."""
    other: tuple[Form, ...] = ("text", "parts")
    return (Forms(*chosen) for chosen in product(system, other, other))


def _stands(words: str, text: str, form: Form) -> bool:
    """Whether words stand in a prompt, and not inside a list of parts that was printed as it is."""
    return words in text and not (form == "parts" and any(f"{mark}{words}" in text for mark in "'\""))


def _directives(today: date) -> dict[str, str]:
    """What every directive of strftime stands for at midnight of a day."""
    moment = datetime.combine(today, time())
    letters = "aAwdbBmyYHIMpSfzZjUWcxXGuVDFTRehC"
    values = {f"%{letter}": moment.strftime(f"%{letter}") for letter in letters}
    # Without the zero in front, which not every platform can do.
    bare = {f"%-{letter}": values[f"%{letter}"].lstrip("0") or "0" for letter in "dmyHIMSjUW"}
    return values | bare


def turn_end_ids_of(tokenizer: Any) -> frozenset[int]:
    """The token with which the chat template ends the assistant's turn; empty where it has none.

    For any tokenizer, with or without a template. A model that was taught to end its turn with another
    token than the tokenizer's end of sequence stops only there.
    """
    if not getattr(tokenizer, "chat_template", None):
        return frozenset()
    template = Template(tokenizer)
    said = _PROBES[2][1]
    messages = [{"role": role, "content": words} for role, words in _PROBES[1:3]]
    try:
        text = template.render(template.forms().shape(messages), generate=False)
    except UserError:  # decoding needs no template; who renders with it is told what is wrong
        return frozenset()
    behind = text.rpartition(said)[2].lstrip()
    tokens = added_tokens_of(tokenizer)
    ends = [token for token in tokens if token and behind.startswith(token)]
    return frozenset({tokens[max(ends, key=len)]} if ends else ())


def opens_thought(text: str) -> tuple[str, str] | None:
    """The tags of the thought that a prompt ends in; None where it ends in none."""
    return next((tags for tags in THOUGHT_TAGS if text.rstrip().endswith(tags[0])), None)


def close_thought(text: str) -> str:
    """A prompt in which the thought that it ends in is closed at once; any other as it is."""
    tags = opens_thought(text)
    return f"{text.rstrip()}\n\n{tags[1]}\n\n" if tags else text
