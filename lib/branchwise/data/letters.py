"""Letters of options, read from what somebody wrote.

A letter counts only where it stands for an option: alone, after words that announce an answer, before
a dot or bracket at the start of a line, or in brackets. "The man" is not E, "A man" is not A, and the
C of "vitamin C" is no answer. Letters that are rejected ("not A", "A is wrong") are not taken.
"""

import re
import unicodedata

from branchwise.data.types import LETTERS

_JOIN = r"(?:[ \t]*(?:,|;|/|&|、|and\b|or\b|和|及|与)[ \t]*|[ \t]+|)"
_OPEN = r"(?:\\boxed\{|\\text\{|[(\[{\"'*$“‘《【])*"
_SHUT = r"[)\]}*]*"
_CLOSE = r"(?=\s*(?:$|\n|[.,;:!?()\]}\"'*$]|[^\x00-\x7f]|(?:because|since|as|for|over|rather)\b))"
_FILL = r"(?:\s+(?:is|are|was|be|letter|option|choice|number|would|should|must|correct|right|to)\b)*"
# What announces an answer, and what only names an option, which may be one that is turned down.
_ANSWER = (
    rf"(?:\b(?:answers?|(?:correct|right|best) (?:options?|choices?))\b{_FILL}"
    r"|(?:【答案】|答案|正确选项|应选|故选|本题选)(?:应该|应|是|为|选)*)"
)
_OPTION = rf"(?:\b(?:options?|choices?|choose|pick|select(?:ed)?)\b{_FILL}|(?:选项|选择|选)(?:是|为)?)"
_NOT_BEFORE = re.compile(r"(?:\bnot\b|n't\b|\bnever\b|\bnor\b|不|非|勿|别)\W*\w{0,2}\W*$", re.IGNORECASE)
_NOT_AFTER = re.compile(
    r"\s*(?:选项)?\s*(?:(?:is|are|was)\s+)?(?:错|不|非|wrong|incorrect|false|not\b)", re.IGNORECASE
)


def letters_in(text: str, num_options: int | None = None) -> str:
    """The letters that `text` gives as its answer, in order and once each ("AC"); "" where none.

    `num_options` limits which letters can be meant; without it A to J can.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    allowed = LETTERS[: num_options or None]
    one = rf"[{allowed}](?![A-Za-z0-9])"
    several = rf"{_OPEN}([{allowed}](?:{_SHUT}{_JOIN}{_OPEN}[{allowed}])*)(?![A-Za-z0-9]){_CLOSE}"
    labels = rf"(?m)^\s*[*(\[]*({one})[*)\]]*(?:[.):、,](?=\s|$|[^\x00-\x7f]|\*))"
    first_line = text.partition("\n")[0]
    return (
        _bare(text, allowed)
        or _in_order(_meant(rf"{_ANSWER}\s*[:】]?\s*{several}", text)[-1:], allowed)
        or _bare(first_line, allowed)
        or _in_order(_meant(rf"{_OPTION}\s*:?\s*{several}", text)[-1:], allowed)
        or _in_order(_meant(rf"(?<![A-Za-z])({one})(?=\s*选项)", text), allowed)
        or _in_order(_meant(rf"^({one})(?=\s+(?:is|are)\s+(?:correct|right|true))", text), allowed)
        or _in_order(_meant(labels, text), allowed)
        or _in_order(_meant(rf"\(({one})\)", text), allowed)
    )


def _meant(pattern: str, text: str) -> list[str]:
    """What the pattern's group holds wherever it matches, but not where it is turned down."""
    found = []
    for match in re.finditer(pattern, text, re.IGNORECASE):
        before, after = text[: match.start()], text[match.end(1) :]
        if not _NOT_BEFORE.search(before[-12:]) and not _NOT_AFTER.match(after):
            found.append(match.group(1))
    return found


def _bare(text: str, allowed: str) -> str:
    """The letters of a text that holds nothing else; a single small letter counts too."""
    inner = re.sub(r"^(?:\\boxed\{|[\s(\[{\"'*$“‘])+|[\s)\]}\"'*$”’.。,，;；:：]+$", "", text)
    if len(inner) == 1:
        return _in_order([inner], allowed)
    if re.fullmatch(rf"[{allowed}][)\]}}.*]*(?:{_JOIN}{_OPEN}[{allowed}][)\]}}.*]*)*", inner):
        return _in_order([inner], allowed)
    return ""


def _in_order(found: list[str], allowed: str) -> str:
    """The allowed letters among what was found; a small one counts only by itself."""
    found = [part.upper() if len(part) == 1 else part for part in found]
    return "".join(sorted({char for part in found for char in part if char in allowed}))
