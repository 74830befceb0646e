"""Prompts without a chat template: one text, for models that go on with what they read.

Turns stand one under the other, and a blank line follows each answer: what begins behind it is another
question, and a model that has seen a few ends its own answer there.
"""

from collections.abc import Sequence
from typing import Any

from branchwise.decoding.models.text import prompt_ids_of

_PROBE = "a"


def plain_text(messages: Sequence[Any]) -> str:
    """Messages as one text; behind the last turn of whoever asks, the answer's line begins."""
    return "".join(
        message["content"] + ("\n" if message["role"] == "user" else "\n\n") for message in messages
    )


def front_ids_of(tokenizer: Any) -> list[int]:
    """Ids of the special tokens that a tokenizer puts before every text: a beginning-of-text token, for
    most base models; none for others.
    """
    whole = prompt_ids_of(tokenizer, _PROBE)
    plain = list(tokenizer.encode(_PROBE, add_special_tokens=False))
    starts = (at for at in range(len(whole)) if whole[at : at + len(plain)] == plain)
    return whole[: next(starts, 0)]
