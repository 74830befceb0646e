"""Letters of options, read from what somebody wrote.

A letter counts only where it stands for an option: alone, after words that announce an answer, before
a dot or bracket at the start of a line, or in brackets. "The man" is not E, "A man" is not A, and the
C of "vitamin C" is no answer.
"""

import re
import unicodedata

from branchwise.data.types import LETTERS

_JOIN = r"(?:\s*(?:,|;|/|&|、|and\b|or\b|和|及|与)\s*|\s+|)"
_OPEN = r"(?:\\boxed\{|\\text\{|[(\[{\"'*$“‘《【])*"
_SHUT = r"[)\]}.]*"
_CLOSE = r"(?=\s*(?:$|\n|[.,;:!?)\]}\"'*$]|[^\x00-\x7f]|(?:because|since|as|for)\b))"
_ENGLISH = (
    r"\b(?:answers?|options?|choices?|choose|pick|select(?:ed)?)\b"
    r"(?:\s+(?:is|are|was|be|letter|option|choice|number|would|should|must|correct|right|to)\b)*"
)
_CHINESE = r"(?:答案|选项|选择|应选|故选|本题选|选)(?:应该|应|是|为|选)*"


def letters_in(text: str, num_options: int | None = None) -> str:
    """The letters that `text` gives as its answer, in order and once each ("AC"); "" where none.

    `num_options` limits which letters can be meant; without it A to J can.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    allowed = LETTERS[: num_options or None]
    one = rf"[{allowed}](?![A-Za-z0-9])"
    several = rf"{_OPEN}([{allowed}](?:{_JOIN}{_OPEN}[{allowed}])*)(?![A-Za-z0-9]){_CLOSE}"
    announced = re.findall(rf"(?:{_ENGLISH}|{_CHINESE})\s*:?\s*{several}", text, re.IGNORECASE)
    labels = rf"(?m)^\s*[*(\[]*({one})[*)\]]*(?:[.):、,](?=\s|$|[^\x00-\x7f]|\*)|选项)"
    return (
        _bare(text, allowed)
        or _in_order(announced[-1:], allowed)
        or _in_order(re.findall(labels, text), allowed)
        or _in_order(re.findall(rf"\(({one})\)", text), allowed)
    )


def _bare(text: str, allowed: str) -> str:
    """The letters of a text that holds nothing else; a single small letter counts too."""
    inner = re.sub(r"^(?:\\boxed\{|[\s(\[{\"'*$“‘])+|[\s)\]}\"'*$”’.。,，;；:：]+$", "", text)
    if len(inner) == 1:
        return _in_order([inner], allowed)
    if re.fullmatch(rf"[{allowed}]{_SHUT}(?:{_JOIN}{_OPEN}[{allowed}]{_SHUT})*", inner):
        return _in_order([inner], allowed)
    return ""


def _in_order(found: list[str], allowed: str) -> str:
    """The allowed letters among what was found; a small one counts only by itself."""
    found = [part.upper() if len(part) == 1 else part for part in found]
    return "".join(sorted({char for part in found for char in part if char in allowed}))
