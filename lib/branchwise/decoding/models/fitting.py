"""Which groups fit a model, found out from its config and tokenizer, before any weights are read.

Importing it takes no torch, and most data sets need not even the tokenizer: a text has no more tokens
than bytes, so what fits by its bytes fits.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from branchwise.data.types import Group, Question
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.places import place_of
from branchwise.errors import UserError
from branchwise.prompts import Message, everything, first_turn, single, turn
from branchwise.prompts.style import PromptStyle, answer_form

if TYPE_CHECKING:
    from branchwise.decoding.models.chat import ChatTokenizer

NEAR = 32
"""Tokens around the limit within which a prompt is rendered whole: parts counted apart may differ."""
TEMPLATE_BYTES = 1000
"""What a chat template may write around a prompt, generously."""


class TooLong(NamedTuple):
    """Groups that do not fit when asked in one way, their questions, and the longest group: its prompt
    and the budget of its answers, in tokens.
    """

    num_groups: int
    num_questions: int
    longest_tokens: int
    longest_group: str


class Fit(NamedTuple):
    """How the groups of a data set fit a context of `max_context` tokens.

    `alone`: each question in its own prompt. `together`: a group in one prompt, or turn by turn, at most.
    None where all fit for sure, by their bytes.
    """

    max_context: int
    num_groups: int
    num_questions: int
    alone: TooLong | None = None
    together: TooLong | None = None


def fit_of(groups: Sequence[Group], style: PromptStyle, entry: ModelEntry, max_new_tokens: int) -> Fit:
    """How groups fit a model whose answers have `max_new_tokens` each.

    Raises UserError where the model's config or tokenizer is not on this machine, or broken.
    """
    folder = place_of(entry, online=False).folder
    limit = _context_of(folder)
    num_questions = sum(map(len, groups))
    fit = Fit(limit, len(groups), num_questions)
    groups = [group for group in groups if _most_bytes(group, style, max_new_tokens) > limit]
    if not groups:
        return fit
    from branchwise.decoding.models.chat import ChatTokenizer

    chat = ChatTokenizer.load(folder, entry.thinking, entry.template_date)
    lengths = _Lengths(chat, groups, style, max_new_tokens)
    alone = _too_long(groups, [lengths.alone(group, limit) for group in groups], limit)
    together = _too_long(groups, [lengths.together(group) for group in groups], limit)
    return fit._replace(alone=alone, together=together)


def length_warnings(
    groups: Sequence[Group],
    models: Mapping[str, tuple[ModelEntry, PromptStyle]],
    max_new_tokens: int,
) -> list[str]:
    """A sentence for each model of a grid, by name with its prompt style, and each way of asking in which
    groups do not fit; and for each model that cannot be looked at here.
    """
    found = []
    for name, (entry, style) in models.items():
        try:
            fit = fit_of(groups, style, entry, max_new_tokens)
        except UserError as error:
            found.append(f"lengths were not checked against model {name}: {error.problem}")
            continue
        ways = {"each question alone": fit.alone, "all at once or turn by turn": fit.together}
        found += [_sentence(name, fit, how, one) for how, one in ways.items() if one and one.num_groups]
    return found


def _sentence(name: str, fit: Fit, how: str, found: TooLong) -> str:
    share = 100 * found.num_questions / fit.num_questions
    return (
        f"{found.num_groups} of {fit.num_groups} groups ({share:.3g} % of the questions) do not fit "
        f"model {name} ({fit.max_context} tokens) when asked {how}; the longest, {found.longest_group}, "
        f"takes {found.longest_tokens} tokens with its answers: use a model with a longer context, "
        "smaller groups or a smaller max_new_tokens"
    )


def _context_of(folder: Path) -> int:
    """The longest sequence of a model, from its config; see `max_context_of`."""
    try:
        stated = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        reach = (stated.get("text_config") or stated).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{folder / 'config.json'} cannot be read", "mend it") from error
    if isinstance(reach, int) and reach > 0:
        return reach
    # Named otherwise, or left to the default of its type.
    from transformers import AutoConfig

    from branchwise.decoding.models.facts import context_of

    try:
        return context_of(AutoConfig.from_pretrained(folder, trust_remote_code=False))
    except Exception as error:  # the files are the user's, and what broken ones raise is not settled
        raise UserError(f"{folder / 'config.json'} cannot be read", "mend it") from error


def _most_bytes(group: Group, style: PromptStyle, max_new_tokens: int) -> int:
    """Bytes that no prompt of a group exceeds, and the tokens of all its answers."""
    said = [*everything(group, style), *(turn(question, style) for question in group)]
    if style.shots:
        said += single(group, group.questions[0], style)
    size = sum(len(message["content"].encode()) for message in said)
    return size + TEMPLATE_BYTES * (len(group) + 1) + len(group) * max_new_tokens


class _Lengths:
    """Tokens of prompts, put together from those of their parts; each text is counted once."""

    def __init__(
        self, chat: "ChatTokenizer", groups: Iterable[Group], style: PromptStyle, max_new_tokens: int
    ) -> None:
        self.chat = chat
        self.style = style
        self.max_new_tokens = max_new_tokens
        texts = {group.context for group in groups}
        texts |= {self._turn(question) for group in groups for question in group}
        some = [text for text in texts if text]
        self._tokens = {"": 0, **dict(zip(some, _token_counts(chat.tokenizer, some), strict=True))}

    @cached_property
    def _frame(self) -> int:
        """Tokens of a prompt beside its context and question."""
        empty = Group.model_validate({"id": "-", "questions": [{"id": "-", "text": "-", "golds": ["-"]}]})
        (question,) = empty.questions
        ways = (single, first_turn)
        lengths = [self._length(way(empty, question, self.style)) for way in ways]
        return max(*lengths, self._length(everything(empty, self.style), many=True))

    def _turn(self, question: Question) -> str:
        return turn(question, self.style)["content"]

    def _length(self, messages: Sequence[Message], many: bool = False) -> int:
        form = answer_form(self.style, many)
        return len(self.chat.prompt_ids(messages, form=form.form, begun=form.begun))

    @cached_property
    def _turn_frame(self) -> int:
        """Tokens between an answer and the next question, and behind that."""
        said = {"role": "user", "content": "-"}
        form = answer_form(self.style, many=False)
        return len(self.chat.next_turn_ids([said], [said], form.form, form.begun))

    def alone(self, group: Group, limit: int) -> int:
        """Tokens of the group's longest prompt of one question, with its answer."""
        longest = max(group, key=lambda question: self._tokens[self._turn(question)])
        asked = self._tokens[self._turn(longest)]
        tokens = self._frame + self._tokens[group.context] + asked + self.max_new_tokens
        if abs(tokens - limit) <= NEAR:
            tokens = self._length(single(group, longest, self.style)) + self.max_new_tokens
        return tokens

    def together(self, group: Group) -> int:
        """Tokens of the whole group asked turn by turn, with all answers; in one prompt it takes less."""
        asked = sum(self._tokens[self._turn(question)] for question in group)
        turns = len(group) * (self._turn_frame + self.max_new_tokens)
        return self._frame + self._tokens[group.context] + asked + turns


def _token_counts(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    if hasattr(backend, "encode_batch_fast"):  # without offsets, and on all cores
        encoded = backend.encode_batch_fast(texts, add_special_tokens=False)
        return [len(one) for one in encoded]
    return [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]


def _too_long(groups: Sequence[Group], tokens: Sequence[int], limit: int) -> TooLong:
    beyond = [group for group, number in zip(groups, tokens, strict=True) if number > limit]
    longest = max(range(len(groups)), key=lambda index: tokens[index])
    return TooLong(len(beyond), sum(map(len, beyond)), tokens[longest], groups[longest].id)
