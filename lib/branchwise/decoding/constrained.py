"""Decoding held to a regular expression: no token is chosen that no match can continue with."""

from collections.abc import Sequence
from typing import Any

import regex
import torch
from torch import Tensor

from branchwise.decoding.requests import Hook

_FIRST = 64


def constrained_to(pattern: str, tokenizer: Any, stop_ids: frozenset[int]) -> Hook:
    """A hook that leaves each branch only its most likely token that keeps its text a prefix of a
    match of `pattern`; a stop token only where the text is a whole match.

    Tokens are tried in the order of their logits, so the cost is that of the few that do not fit.
    Raises RuntimeError where no token of the vocabulary fits (the tokenizer cannot write a match).
    """
    compiled = regex.compile(pattern)

    def fits(ids: list[int], token: int) -> bool:
        if token in stop_ids:
            return compiled.fullmatch(tokenizer.decode(ids)) is not None
        before, after = tokenizer.decode(ids), tokenizer.decode([*ids, token])
        # A token without text would let a branch stand still for ever.
        return len(after) > len(before) and compiled.fullmatch(after, partial=True) is not None

    def change(made: Sequence[list[int]], logits_RV: Tensor) -> Tensor:
        changed_RV = torch.full_like(logits_RV, -torch.inf)
        for row, ids in enumerate(made):
            token = _first_fit(ids, logits_RV[row], fits)
            changed_RV[row, token] = logits_RV[row, token]
        return changed_RV

    return Hook(change)


def _first_fit(ids: list[int], logits_V: Tensor, fits: Any) -> int:
    """The most likely token that fits; the whole vocabulary is sorted only if the first few do not."""
    for count in (min(_FIRST, len(logits_V)), len(logits_V)):
        for token in logits_V.topk(count).indices.tolist():
            if fits(ids, token):
                return token
    raise RuntimeError(f"no token continues {ids} within the pattern")
