"""What was said and what the chat template writes: a control token spelt in data stays text.

Passages, questions and answers may hold `<|im_end|>`. A tokenizer cuts every text at the spelling of its
control tokens, wherever that comes from, so such a passage would end its own turn. Here each spelling in
data is marked before the template is rendered, by a character that no data holds: what stands unmarked in
the prompt is the template's own.

transformers' `sanitize_control_tokens` (5.23) does the like. It gives up where a vocabulary itself holds
the control tokens, as the shipped model's does, passes over those that no template names, and encodes the
pieces of a prompt apart.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

from branchwise.decoding.models.text import added_tokens_of

_MARKS = range(0xF0000, 0xFFFFE)
"""Code points that Unicode leaves to private use."""


def control_tokens_of(tokenizer: Any) -> dict[str, int]:
    """Tokens that steer a model, with their ids: special ones, and others between brackets (`<think>`).

    Added words and runs of spaces are text.
    """
    special = set(getattr(tokenizer, "all_special_tokens", None) or ())
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    special |= {token.content for token in added.values() if getattr(token, "special", False)}
    return {
        token: number
        for token, number in added_tokens_of(tokenizer).items()
        if token.strip() and (token in special or _is_bracketed(token))
    }


def _is_bracketed(token: str) -> bool:
    first, last = token[0], token[-1]
    return not (first.isalnum() or last.isalnum()) and any(char.isalnum() for char in token[1:-1])


class Quoting:
    """Marks what of a text spells a control token of `tokenizer`, and reads marked text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._ids = control_tokens_of(tokenizer)
        added = (getattr(tokenizer, "added_tokens_decoder", None) or {}).values()
        # A normaliser may write letters small before it looks for such a token.
        letters = re.IGNORECASE if any(getattr(t, "normalized", False) for t in added) else 0
        self._spelt = re.compile(_any_of(self._ids), letters)
        self._readers: dict[str, MarkedReader] = {}

    def mark_for(self, texts: Sequence[str]) -> str:
        """A character that marks control tokens spelt in these texts; empty where none is spelt: then
        nothing is marked.
        """
        if not any(self._spelt.search(text) for text in texts):
            return ""
        return next(char for char in map(chr, _MARKS) if not any(char in text for text in texts))

    def marked(self, text: str, mark: str) -> str:
        """Text from data, with the mark before each control token that it spells."""
        return self._spelt.sub(lambda found: mark + found[0], text) if mark else text

    def reader(self, mark: str) -> Any:
        """What encodes text with such marks: the tokenizer itself, or a `MarkedReader`."""
        if not mark:
            return self.tokenizer
        if mark not in self._readers:
            self._readers[mark] = MarkedReader(self.tokenizer, self._ids, self._spelt.flags, mark)
        return self._readers[mark]


class MarkedReader:
    """A tokenizer, for marked text: a marked control token is text, any other is itself.

    Text goes through the same normaliser, pre-tokeniser and model as ever, and in one piece. What the
    model has no piece for becomes what it makes of anything unknown.
    """

    def __init__(self, tokenizer: Any, control_ids: dict[str, int], flags: int, mark: str) -> None:
        self.tokenizer = tokenizer
        self.mark = mark
        self._ids = control_ids
        # A mark stands alone where the template cut off what stood behind it.
        self._control = re.compile(f"({mark}?)({_any_of(control_ids)})|{mark}", flags)
        self._named = re.compile(f"{mark}([0-9]+){mark}")

    @property
    def clean_up_tokenization_spaces(self) -> Any:
        """As the tokenizer has it."""
        return getattr(self.tokenizer, "clean_up_tokenization_spaces", None)

    def decode(self, ids: Sequence[int], **how: Any) -> str:
        """Text of ids, as the tokenizer decodes them."""
        return self.tokenizer.decode(ids, **how)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Token ids of marked text; never a special token added."""
        text = self._control.sub(self._written, text)
        if self._renamed is not None:
            ids = self._renamed.encode(text, add_special_tokens=False).ids
            return [self._number_of.get(number, number) for number in ids]
        # A tokenizer of another kind can only be told to look for no control tokens at all.
        ids = []
        for index, piece in enumerate(self._named.split(text)):
            if index % 2:
                ids.append(int(piece))
            elif piece:
                ids += self.tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
        return ids

    def _written(self, found: re.Match[str]) -> str:
        """What stands in for a control token or a mark: marked ones as they are, others by name."""
        token = found[2] or ""
        return token if found[1] or token not in self._ids else self._name(token)

    def _name(self, token: str) -> str:
        """What a control token is called, so that no data can spell it."""
        return f"{self.mark}{self._ids[token]}{self.mark}"

    @cached_property
    def _renamed(self) -> Tokenizer | None:
        """The tokenizer with its control tokens renamed; None for one that is not of that library.

        Renamed in the model's vocabulary too: where that holds them, it would find them in any text.
        """
        backend = getattr(self.tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            return None
        stated = json.loads(backend.to_str())
        names = {token: self._name(token) for token in self._ids}
        for token in stated["added_tokens"]:
            if token["content"] in names:
                # Found before the text is normalised: nothing that a normaliser does can hide it.
                token |= {"content": names[token["content"]], "normalized": False}
        _rename(stated["model"], names)
        # Of the rest, only what frames a whole text names tokens, and nothing is framed here.
        stated |= {"post_processor": None, "truncation": None, "padding": None}
        return Tokenizer.from_str(json.dumps(stated))

    @cached_property
    def _number_of(self) -> dict[int, int]:
        """The ids of added tokens by those that they have where they were renamed, if these differ."""
        assert self._renamed is not None, "only the renamed have other ids"
        numbers = {}
        for token, number in added_tokens_of(self.tokenizer).items():
            renamed = self._renamed.token_to_id(self._name(token) if token in self._ids else token)
            if renamed is not None and renamed != number:
                numbers[renamed] = number
        return numbers


def _any_of(tokens: Iterable[str]) -> str:
    """A pattern for the longest of these tokens that stands at a place; for none, one that never does."""
    return "|".join(map(re.escape, sorted(tokens, key=len, reverse=True))) or "(?!)"


def _rename(model: dict[str, Any], names: Mapping[str, str]) -> None:
    """Rename tokens in a model of the tokenizers library, as its JSON states it."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    elif vocabulary:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    if model.get("unk_token") in names:
        model["unk_token"] = names[model["unk_token"]]
    if model.get("merges"):
        model["merges"] = [pair for pair in model["merges"] if not names.keys() & _pieces_of(pair)]


def _pieces_of(merge: Sequence[str]) -> set[str]:
    """The two parts of a merge, and what they make."""
    left, right = merge
    return {left, right, left + right}
