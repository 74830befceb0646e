"""What number a reply gives: rules from the surest to the weakest.

A number is given back in plain digits ("1,234.50" is 1234.50), a fraction as it is written, a unit or a
percent sign left off; "3 million" and "3万" are multiplied out unless the question asks in that unit. A
comma before three digits parts thousands; where dots part thousands, a comma before the end is decimal
("1.234,5" is 1234.5). Ordinals ("3rd"), decades ("1990s"), times and parts of names ("B12", "COVID-19")
are no numbers. Where no rule finds one number, the words stay: the answer may be a date or a name.
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re
import unicodedata
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from branchwise.prompts.reading.numerals import CHINESE, ENGLISH, SCALES, chinese_number, english_number

MAX_CHARS = 8_000
"""Of a longer reply this many last characters are read."""
MAX_CUES, MAX_FILL = 60, 160
"""Of one kind of cue this many last ones are looked at; this many characters may fill up to the number."""

_BEFORE = r"(?<![\w.,/:])(?<![A-Za-z_]-)"
_DIGITS = r"(?:\d{1,3}(?:\.\d{3})+,\d+|\d{1,3}(?:[, '’]\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
_AFTER = r"(?!\d|[.,:/]\d|'?s\b|(?:st|nd|rd|th)\b)"
_SCALE = "|".join(sorted(SCALES, key=len, reverse=True))
_VALUE = re.compile(
    rf"{_BEFORE}(?P<sign>[-+](?=[\d.$€£¥])|(?:minus|negative)\s+|负\u200b?)?(?:[$€£¥]\s?)?(?P<digits>{_DIGITS})"
    rf"(?P<fraction>\s?/\s?\d+(?![\d/]))?(?P<exponent>[eE][-+]?\d+(?!\w))?{_AFTER}"
    rf"(?:[\s\u200b]?(?P<scale>{_SCALE})(?![a-z]))?",
    re.IGNORECASE,
)


class Found(NamedTuple):
    """A number in a text: as plain digits, and where it stands."""

    value: str
    start: int
    end: int


def tidy(text: str) -> str:
    """A reply with digits, minus signs and marks made plain ones, for finding numbers."""
    text = unicodedata.normalize("NFKC", text)
    text = text.replace("\u2212", "-").replace("\u2044", "/").replace("{,}", ",")
    text = re.sub(r"[\u2010\u2011\u2012\u2013](?=\d)", "-", text)
    text = re.sub(r"\\d?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    for _ in range(2):
        text = re.sub(r"\\(?:text|mathrm|mathbf|textbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}", r"⟦\1⟧", text)
    text = re.sub(r"\\[()\[\],;!]|\\(?=[%$&#_])|\$(?![\d.])", " ", text)
    text = re.sub(r"\\(?:times|cdot)\b", "×", text)
    return re.sub(r"(?<=\d)(?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])(?=[-+]?\d)", "\u2063", text)


class Number:
    """A reply to a question for a number."""

    def __init__(self, text: str, question: str = "") -> None:
        self.text = tidy(text[-MAX_CHARS:]).strip()
        self.question = question.lower()

    def value(self, match: re.Match[str]) -> str:
        """A number in plain digits."""
        digits = match["digits"]
        if re.fullmatch(r"\d{1,3}(?:\.\d{3})+,\d+", digits):
            digits = digits.replace(".", "").replace(",", ".")
        digits = re.sub(r"[, '’]", "", digits)
        if digits.startswith("."):
            digits = f"0{digits}"
        sign = (
            "-"
            if (match["sign"] or "").strip("\u200b ").lower() in ("-", "minus", "negative", "负")
            else ""
        )
        if match["fraction"]:
            return f"{sign}{digits}{match['fraction'].replace(' ', '')}"
        scale = (match["scale"] or "").lower()
        if scale and scale not in self.question:
            return sign + times(digits, SCALES[scale])
        return f"{sign}{digits}{match['exponent'] or ''}"

    @cached_property
    def found(self) -> list[Found]:
        """Numbers in digits, those left out that are turned down ("3 and not 4")."""
        found: list[Found] = []
        end = 0
        for match in _VALUE.finditer(self.text.replace("\u2063", "\u200b")):
            if (
                found and match["sign"] and end == match.start()
            ):  # "3-5" is a range, and 5 is no negative number
                return []
            found.append(Found(self.value(match), match.start(), match.end()))
            end = match.end()
        kept = [number for number in found if not _DENIED.search(self.text[: number.start][-40:])]
        return kept if kept else found

    def at(self, start: int) -> str:
        """The number that stands at `start` behind filling words, in digits or words; "" where none."""
        place = _FILL.match(self.text, start, start + MAX_FILL).end()  # type: ignore[union-attr]
        for number in self.found:
            if number.start == place:
                more = re.match(
                    r"\s*(?:-|–|—|~|to|or|and|至|到|或)\s*[-$]?\d|[-/:]\d", self.text[number.end :]
                )
                return "" if more else number.value
        return self.in_words(place) or ""

    def in_words(self, start: int = 0, whole: bool = False) -> str | None:
        """The number in words at `start`; with `whole`, alone or with a unit behind it."""
        sign = re.compile(r"(?:minus|negative)\s+|负", re.IGNORECASE).match(self.text, start)
        start = sign.end() if sign else start
        said: str | None = None
        if match := ENGLISH.match(self.text, start):
            number = english_number(match.group())
            said = None if number is None else str(number)
        elif match := CHINESE.match(self.text, start):
            said = chinese_number(match.group())
        if match is None or said is None:
            return None
        rest = self.text[match.end() :]
        if re.match(r"\s*(?:-|to\b|or\b|至|到|或|月|日|号)", rest) or (
            whole and not _UNIT.fullmatch(rest)
        ):
            return None
        return ("-" if sign and said != "0" else "") + said


def times(digits: str, scale: int) -> str:
    """`digits` multiplied, exactly and in plain digits."""
    from decimal import Decimal

    product = Decimal(digits) * scale
    return format(product.to_integral_value() if product == product.to_integral_value() else product, "f")


_UNIT = re.compile(
    r"[\s*_`\"')\]]*(?:(?:[A-Za-z%°]+|[\u4e00-\u9fff]{1,2})(?:\s+[A-Za-z]+){0,2})?[\s*_`\"')\].。!]*"
)
_DENIED = re.compile(
    r"\b(?:not|rather than|instead of|never)\s+(?:\w+\s+){0,1}[$]?$|(?:不是|而非|并非)\u2063?$",
    re.IGNORECASE,
)
_FILL = re.compile(
    r"(?:[\s,:=*_`\"'(\[>→≈~\u2063]|\$(?=\s)|\b(?:is|are|was|were|be|would|should|must|about|approximately|around|roughly|"
    r"exactly|only|just|simply|therefore|thus|then|so|equal to|equals|total|of|the|a total|there|it|that|we|"
    r"get|have|had|has|answer|number|final|i|think|believe|nearly|almost|over|at least|actually|rather)\b|"
    r"大约|约为|约|大概|共计|一共|总共|共有|共|只有|是|为|有|等于|应该|应|即|就|答案|得出|得|数字)*+",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"\b(?:answers?|ans|result|total|solution|count|final number)\b(?:[^.\n;!?。]{0,60}?(?:\b(?:is|are|was|be|equals?)\b|[:=]))?|"
    r"答案|结果|总数|答\s*:|####",
    re.IGNORECASE,
)
_CONCLUDED = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|in total|altogether|in conclusion|finally|wait|actually|correction)\b|"
    r"因此|所以|故|总之|综上|一共|总共|共计|合计",
    re.IGNORECASE,
)


def whole(number: Number) -> str:
    """The reply is one number, with a unit, a lead-in or about."""
    if len(number.found) == 1 and re.fullmatch(r"[-+]?[\d.,'/eE+\- ]+", number.text):
        return number.found[0].value
    return ""


def _last_at(cue: re.Pattern[str]) -> Callable[[Number], str]:
    """A rule: the number behind the last cue that has one."""

    def read(number: Number) -> str:
        for match in reversed(list(cue.finditer(number.text))[-MAX_CUES:]):
            if said := number.at(match.end()):
                if not re.search(
                    r"\b(?:not|n't|never|if)\b[^.,;\n]{0,20}$", number.text[: match.start()][-30:], re.I
                ):
                    return said
        return ""

    return read


def corrected(number: Number) -> str:
    """The number behind a correction ("Wait, actually 4."), where it is all that this says."""
    for match in reversed(list(_CORRECTED.finditer(number.text))[-MAX_CUES:]):
        if said := number.at(match.end()):
            end = next(
                (found.end for found in number.found if found.start >= match.end()), len(number.text)
            )
            if re.match(r"[\s*)]*(?:[.!\n。]|$)", number.text[end:]):
                return said
    return ""


boxed = _last_at(re.compile("⟦"))
answer = _last_at(_ANSWER)
concluded = _last_at(_CONCLUDED)


_CORRECTED = re.compile(
    r"\b(?:wait|correction|actually|on second thought|i mean|no)\b|更正|不对|等等", re.IGNORECASE
)


def equation(number: Number) -> str:
    """What stands behind the last equals sign."""
    return _last_at(re.compile(r"="))(number)


def only_number(number: Number) -> str:
    """The only number of the reply, in digits; every mention of it has the same value."""
    values = {found.value for found in number.found}
    return values.pop() if len(values) == 1 else ""


def only_words(number: Number) -> str:
    """The only number of the reply, in words: alone, with a unit, or the only one of its kind."""
    if number.found:
        return ""
    text = number.text
    start = _FILL.match(text, 0, MAX_FILL).end()  # type: ignore[union-attr]
    said = number.in_words(start, whole=True)
    if said is not None:
        return said
    found = {
        english_number(match.group())
        for match in ENGLISH.finditer(text)
        if match.group().lower() != "one"
    }
    return str(found.pop()) if len(found) == 1 and None not in found else ""


def emphasised(number: Number) -> str:
    """The only number in bold."""
    found = re.findall(r"(?:\*\*|__)([^*_\n]{1,60})(?:\*\*|__)", number.text)
    values = {said for said in (only_number(Number(part, number.question)) for part in found) if said}
    return values.pop() if len(values) == 1 else ""


def own_line(number: Number) -> str:
    """The number that the last line is, or else the first."""
    lines = [line for line in number.text.splitlines() if line.strip()]
    if len(lines) < 2:
        return ""
    for line in (lines[-1], lines[0]):
        one = Number(line, number.question)
        if len(one.found) == 1 and re.fullmatch(r"[\W_]*", one.text[: one.found[0].start]):
            if _UNIT.fullmatch(one.text[one.found[0].end :].lstrip("\u2063")):
                return one.found[0].value
    return ""
