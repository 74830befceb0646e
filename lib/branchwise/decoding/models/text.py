"""Text to token ids, for any Hugging Face tokenizer: as a prompt, and as what goes on from other text.

A prompt gets what the tokenizer puts around every text (a begin-of-sequence token, for most). A
continuation gets nothing: no special token, and not the space that SentencePiece tokenizers put before
the first word of what they are given.
"""

from typing import Any

ANCHORS = (".", "a", "0", ")")
"""Stand-ins for the text before a continuation. Several, as a vocabulary may merge one with the text."""

_FRONT = 8  # characters from which it shows whether something was put before a text


def prompt_ids_of(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a whole prompt: exactly what `model.generate(**tokenizer(text))` would be given.

    Special tokens that the tokenizer adds are among them, at the end too, if it adds any there.
    """
    if callable(tokenizer):
        return list(tokenizer(text)["input_ids"])
    return list(tokenizer.encode(text))


def continuation_ids_of(tokenizer: Any, text: str) -> list[int]:
    """Token ids of text that goes on from other text: decoded behind that, it adds `text` and no more.

    The plain encoding where that does not put a space in front. Else the text is encoded behind an
    anchor, whose ids are then cut off. Where the vocabulary merges the text with every anchor, the plain
    encoding is all that there is.
    """
    if not text:
        return []
    plain = _encode(tokenizer, text)
    anchors = [(anchor, ids) for anchor, ids in _anchors(tokenizer) if ids]
    if not anchors or _adds_nothing(tokenizer, text[:_FRONT], *anchors[0]):
        return plain
    for anchor, ids in anchors:
        whole = _encode(tokenizer, anchor + text)
        if whole[: len(ids)] == ids:
            return whole[len(ids) :]
    return plain


def added_tokens_of(tokenizer: Any) -> dict[str, int]:
    """Special and added tokens with their ids: what is one token wherever it stands in a text."""
    added = getattr(tokenizer, "added_tokens_decoder", None) or {}
    found = {str(getattr(token, "content", token)): int(number) for number, token in added.items()}
    for token in getattr(tokenizer, "all_special_tokens", None) or ():
        found.setdefault(str(token), tokenizer.convert_tokens_to_ids(str(token)))
    return found


def _anchors(tokenizer: Any) -> list[tuple[str, list[int]]]:
    """Anchors that the tokenizer can read, with their ids; none that it drops or does not know."""
    if not callable(getattr(tokenizer, "decode", None)):
        return []
    encoded = [(anchor, _encode(tokenizer, anchor)) for anchor in ANCHORS]
    return [(anchor, ids) for anchor, ids in encoded if _decode(tokenizer, ids).strip() == anchor]


def _adds_nothing(tokenizer: Any, front: str, anchor: str, anchor_ids: list[int]) -> bool:
    """Whether the plain ids of a text, behind the anchor's, read as the text behind the anchor does.

    The tokenizer's own reading is compared, not the text: it may write letters small, or a space behind
    a special token, wherever they stand.
    """
    apart = _decode(tokenizer, anchor_ids + _encode(tokenizer, front))
    return apart == _decode(tokenizer, _encode(tokenizer, anchor + front))


def _encode(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False))


def _decode(tokenizer: Any, ids: list[int]) -> str:
    """Text of ids, as they are: a tokenizer that tidies spaces up would hide the one looked for."""
    if hasattr(tokenizer, "clean_up_tokenization_spaces"):
        return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    return tokenizer.decode(ids)
