"""Decoding held to a regular expression: no token is chosen that no match can continue with.

What fits is worked out on bytes by llguidance, so that a character that takes several tokens (an emoji,
a rare ideograph) can be written a token at a time.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import llguidance.hf
import numpy as np
import torch
from llguidance import LLMatcher, LLTokenizer
from torch import Tensor

from branchwise.decoding.forms import problem_of
from branchwise.decoding.requests import Hook, Member
from branchwise.errors import UserError

_TOKENIZERS: WeakKeyDictionary[Any, dict[tuple, LLTokenizer]] = WeakKeyDictionary()
"""Made once (a second for a large vocabulary), by the size of the model's vocabulary and stop ids."""


class _Constraint:
    """Masks of the tokens that continue each branch's answer within one pattern."""

    def __init__(self, pattern: str, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        self.pattern = pattern
        self.grammar = LLMatcher.grammar_from_regex(pattern)
        self.tokenizer = tokenizer
        self.stop_ids = sorted(stop_ids)
        self._start: LLMatcher | None = None
        # Where answers stand, by their tokens: a state a branch, no more than that of its last step.
        self._at: dict[tuple[int, ...], LLMatcher] = {}

    def change(self, members: Sequence[Member], logits_RV: Tensor) -> Tensor:
        """`Hook.change`: logits, minus infinity for every token that does not fit."""
        vocabulary = logits_RV.shape[-1]
        answers = [tuple(member.ids) for member in members]
        self._go_on(set(answers), vocabulary)
        fits_RV = torch.stack([self._fits(self._at[ids], vocabulary) for ids in answers])
        for row in (~fits_RV.any(-1)).nonzero().flatten().tolist():
            raise UserError(
                f"no token continues {self.tokenizer.decode(members[row].ids)!r} within the pattern "
                f"{self.pattern!r}",
                "give a pattern that this tokenizer can write, and a model that has a stop token",
            )
        return logits_RV.masked_fill(~fits_RV.to(logits_RV.device), -torch.inf)

    def _go_on(self, answers: set[tuple[int, ...]], vocabulary: int) -> None:
        """Have the state behind each answer in `_at`: that of the step before, a token on. What others
        that are not ready stand at stays.
        """
        new = [ids for ids in answers if ids not in self._at]
        going_on = Counter(ids[:-1] for ids in new if ids)
        for ids in new:
            before = self._at.get(ids[:-1]) if ids else None
            if before is None:
                matcher, said = self._first(vocabulary), ids
            else:
                # Copied only where answers part: the last one takes the state itself along.
                going_on[ids[:-1]] -= 1
                is_last = not going_on[ids[:-1]] and ids[:-1] not in answers
                matcher = self._at.pop(ids[:-1]) if is_last else before.deep_copy()
                said = ids[-1:]
            self._at[ids] = self._behind(matcher, said)

    def _first(self, vocabulary: int) -> LLMatcher:
        """The state before any answer, copied from one that is made once (a large pattern takes long)."""
        if self._start is None:
            known = _tokenizer(self.tokenizer, vocabulary, self.stop_ids)
            self._start = LLMatcher(known, self.grammar)
        return self._start.deep_copy()

    def _behind(self, matcher: LLMatcher, said: Sequence[int]) -> LLMatcher:
        """A state some tokens on. Raises UserError where these do not fit."""
        matcher.consume_tokens([token for token in said if token not in self.stop_ids])
        if matcher.is_error():
            raise UserError(
                f"the pattern {self.pattern!r} cannot be followed: {matcher.get_error()}",
                "check the pattern; another hook may have chosen a token that does not fit",
            )
        return matcher

    def _fits(self, matcher: LLMatcher, vocabulary: int) -> Tensor:
        """Which tokens may come next, bool (V,): a stop token where the answer is a whole match."""
        is_whole = matcher.is_accepting()
        if matcher.is_stopped():
            fits_V = torch.zeros(vocabulary, dtype=torch.bool)
        else:
            bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
            fits_V = torch.from_numpy(np.unpackbits(bits, bitorder="little")[:vocabulary].copy()).bool()
        fits_V[self.stop_ids] = is_whole
        return fits_V


def constrained_to(pattern: str, tokenizer: Any, stop_ids: frozenset[int]) -> Hook:
    """A hook that leaves each branch only tokens that keep its text a prefix of a match of `pattern` (in
    the syntax of Rust's regex: no look-around, no back-references), and a stop token only where the text
    is a whole match.

    Raises UserError for another syntax, for a pattern that nothing matches, and for a tokenizer that is
    not a fast one; while decoding, where no token of the vocabulary fits.
    """
    if problem := problem_of(pattern):
        raise UserError(f"the pattern {pattern!r} {problem}", "mend the pattern")
    if not getattr(tokenizer, "is_fast", False):
        raise UserError(
            f"{type(tokenizer).__name__} is not a fast tokenizer, which constraints need",
            "load it with AutoTokenizer from a folder with tokenizer.json",
        )
    return Hook(_Constraint(pattern, tokenizer, stop_ids).change)


def _tokenizer(tokenizer: Any, vocabulary: int, stop_ids: list[int]) -> LLTokenizer:
    made = _TOKENIZERS.setdefault(tokenizer, {})
    key = (vocabulary, *stop_ids)
    if key not in made:
        # A vocabulary of the model may be larger than the tokenizer's: what is beyond never fits.
        made[key] = llguidance.hf.from_tokenizer(
            tokenizer, n_vocab=vocabulary, eos_token=stop_ids or None
        )
    return made[key]
