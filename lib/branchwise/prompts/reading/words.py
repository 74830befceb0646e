"""What phrase a reply gives as its answer; free text stays whole.

A lead-in that only announces ("The answer is", "答案是"), quotes, emphasis and the full stop of a single
phrase are no part of it. Nothing else is taken off: "It is" may belong to an answer. Of several lines
the one that is announced counts, the last of these; without an announcement they stay whole, up to a
line that begins an explanation. What is said again and again counts once; what a sentence supports that
stands behind it counts alone; of a sentence with one phrase in bold that phrase counts.
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re

_MARKS = r"[\s*_`\"'“”‘’#>]*"
_LEAD = (
    r"(?:(?:so|therefore|thus|hence|in conclusion|based on the (?:text|passage|context))\s*,?\s*)?"
    r"(?:here(?:['’]s| is| are)\s+)?(?:(?:the|my|a|your)\s+)?(?:(?:final|correct|right|short|best)\s+)?answers?"
    r"(?:\s+(?:to|for)\s+(?:the|this|that|your)?\s*question(?:\s+\d+)?)?"
)
_LABEL = re.compile(
    rf"^{_MARKS}(?:{_LEAD}{_MARKS}\s*[:：=]|{_LEAD}{_MARKS}\s+(?:is|are|was|would be|should be)\b(?!\s*(?:not|in|given|found|stated|that|unknown|unclear)\b)\s*[:：]?|"
    rf"(?:A|Ans)\s*[:：]|(?:(?:因此|所以|综上|故)[，,]?)?(?:本题|该题|正确|最终|正确的?)?(?:的)?答案{_MARKS}(?:应该是|应为|是|为|[:：])\s*[:：]?|(?:答|回答)\s*[:：])",
    re.IGNORECASE | re.MULTILINE,
)
_INLINE = re.compile(rf"(?<=[.!?。！？;；,，])\s*{_LABEL.pattern[1:]}", re.IGNORECASE)
_TRAIL = re.compile(
    r"(?<!\s)\s+(?:is|are|was)\s+the\s+(?:(?:correct|right|final)\s+)?answer\s*[.!]?\s*$", re.IGNORECASE
)
_EXPLAINS = re.compile(
    rf"\n\s*{_MARKS}(?:explanation|reason(?:ing)?|rationale|justification|because|evidence|note|解析|解释|理由|原因|说明|依据)"
    rf"{_MARKS}\s*[:：]",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"(?:^|[\s.(])(?:[^\W\d_]|inc|jr|sr|st|co|ltd|corp|dr|mr|mrs|ms|vs|etc|no|prof|gen|col|dept|ave|mt|ft|approx|a\.m|p\.m|e\.g|i\.e)$",
    re.IGNORECASE,
)
_PAIRS = {
    '"': '"',
    "“": "”",
    "‘": "’",
    "「": "」",
    "『": "』",
    "《": "》",
    "`": "`",
    "**": "**",
    "__": "__",
    "*": "*",
    "'": "'",
}


def announced(text: str) -> str:
    """What the last announcement announces, to the end of its line, or the next line where it ends one."""
    found = [*_LABEL.finditer(text), *_INLINE.finditer(text)]
    for match in sorted(found, key=lambda match: match.end(), reverse=True):
        said = text[match.end() :].lstrip()
        for mark in ("**", "__"):
            if match.group().count(mark) % 2 and said.startswith(mark):
                said = said[len(mark) :].lstrip()
        said = _first_line(said)
        if said:
            return bare(said)
    if "\n" not in text.strip() and (trail := _TRAIL.search(text)):
        return bare(text[: trail.start()])
    return ""


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()


def boxed(text: str) -> str:
    """What the last LaTeX box holds."""
    for _ in range(3):
        text = re.sub(r"\\(?:text|textbf|textit|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    found = re.findall(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", text)
    return bare(found[-1]) if found else ""


def explained(text: str) -> str:
    """What stands before a line that begins an explanation."""
    match = _EXPLAINS.search(text)
    return bare(text[: match.start()].strip()) if match else ""


_BACKS = re.compile(
    r"[\s*_>(\"'“]*(?:(?:the|this|that)\s+(?:text|passage|context|article|document|paragraph|answer|information|is|was)\b|"
    r"according to|based on|as (?:stated|mentioned)|in the (?:text|passage)|it is (?:stated|mentioned)|note\b|because\b|"
    r"i hope|let me know|文中|原文|文章|根据|解析|解释)",
    re.IGNORECASE,
)
_NEXT_SENTENCE = re.compile(r"(?<=[.!])[ \t]+(?=[A-Z\"“(])|(?<=[。！])(?=.)")
_MOST_WORDS = 10


def supported(text: str) -> str:
    """A short first line or first sentence that what follows gives the reason of, or says again."""
    text = text.strip()
    head, blank, rest = text.partition("\n\n")
    if "\n" in text and not blank:
        return ""
    if not blank:
        cut = next(
            (m for m in _NEXT_SENTENCE.finditer(text) if not _SHORT.search(text[: m.start() - 1])), None
        )
        if cut is None:
            return ""
        head, rest = text[: cut.start()], text[cut.end() :]
    answer = bare(head)
    is_short = len(answer.split()) <= _MOST_WORDS and len(answer) <= 80 and "\n" not in answer
    if not is_short or not answer or answer.endswith((":", "：", "?", "!")):
        return ""
    again = re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", rest, re.IGNORECASE) is not None
    return answer if _BACKS.match(rest) or again else ""


def repeated(text: str) -> str:
    """What a reply says and says again, line by line or sentence by sentence; the last may be cut off."""
    said = [bare(part) for part in re.split(r"\n+|(?<=\.)\s+|(?<=。)", text.strip()) if part.strip()]
    if len(said) < 2 or len(set(said[:-1])) > 1 or not said[0].startswith(said[-1]):
        return ""
    return said[0] if len(said) > 2 or said[0] == said[1] else ""


_BOLD = re.compile(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__")


def emphasised(text: str) -> str:
    """The only phrase in bold of a single line, where it is no label and no mere stress ("**not**")."""
    found = list(_BOLD.finditer(text))
    if len(found) != 1 or "\n" in text.strip():
        return ""
    answer = bare(found[0].group(1) or found[0].group(2))
    is_label = answer.endswith((":", "：")) or text[found[0].end() :].lstrip().startswith((":", "："))
    is_stress = answer.lower() in ("not", "no", "only", "never", "all", "any", "must", "before", "after")
    return "" if is_label or is_stress else answer


def whole(text: str) -> str:
    """The whole reply; of a single line without its quotes and full stop."""
    return bare(text)


def bare(text: str) -> str:
    """A phrase without quotes and emphasis around it and without its full stop; several lines as they are."""
    text = text.strip()
    if "\n" in text:
        return text
    while True:
        before = text
        for opens, closes in _PAIRS.items():
            inner = text[len(opens) : len(text) - len(closes)]
            if len(text) > len(opens) + len(closes) and text.startswith(opens) and text.endswith(closes):
                if opens not in inner and closes not in inner:
                    text = inner.strip()
        stripped = text.rstrip("。")
        if text.endswith(".") and not text.endswith("..") and not _SHORT.search(text[:-1]):
            stripped = text[:-1]
        if stripped.strip():
            text = stripped.strip()
        if re.fullmatch(r"\*\*[^*]+\*\*[.。]?|__[^_]+__[.。]?", text):
            text = re.sub(r"\*\*|__", "", text)
        if text == before:
            return text


def free_text(text: str) -> str:
    """The whole reply, as it is: a label before it may be the answer's own."""
    return text.strip()
