"""Numbers in words: English ("twenty-five") and Chinese ("三百二十")."""

import re

_ONES = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split(),
        range(20),
        strict=True,
    )
)
_TENS = dict(
    zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True)
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WORD = "|".join(sorted([*_ONES, *_TENS, *_SCALES, "hundred"], key=len, reverse=True))
ENGLISH = re.compile(rf"\b(?:{_WORD})(?:(?:\s+and\s+|\s*-\s*|\s+)(?:{_WORD}))*\b", re.IGNORECASE)

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "兩": 2}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8}
CHINESE = re.compile(rf"[{''.join([*_DIGITS, *_UNITS, *_LARGE])}]+(?:点[{''.join(_DIGITS)}]+)?")
SCALES = {**_SCALES, **_LARGE, "千": 1000, "百万": 10**6, "千万": 10**7}


def english_number(words: str) -> int | None:
    """The value of English number words; None where they are no one number ("two three")."""
    total, part, last = 0, 0, 10**15
    for word in re.findall(r"[a-z]+", words.lower()):
        if word == "and":
            continue
        if word in _SCALES:
            if not part or _SCALES[word] >= last:
                return None
            total, part, last = total + part * _SCALES[word], 0, _SCALES[word]
        elif word == "hundred":
            if not 0 < part < 10:
                return None
            part *= 100
        elif word in _TENS:
            if part % 100:
                return None
            part += _TENS[word]
        else:
            value = _ONES[word]
            if part % 10 or (part % 100 and value > 9) or (value == 0 and part + total):
                return None
            part += value
    return total + part


def chinese_number(chars: str) -> str | None:
    """The value of Chinese numerals as digits; None where they are none ("百十")."""
    whole, point, decimals = chars.partition("点")
    if all(char in _DIGITS for char in whole):
        value: int | None = int("".join(str(_DIGITS[char]) for char in whole))
    else:
        value = _with_units(whole)
    if value is None:
        return None
    return str(value) + ("." + "".join(str(_DIGITS[char]) for char in decimals) if point else "")


def _with_units(chars: str) -> int | None:
    total, section, digit, last = 0, 0, None, 10_000
    for char in chars:
        if char in _DIGITS:
            if digit:
                return None
            digit = _DIGITS[char]
        elif char in _UNITS:
            unit = _UNITS[char]
            if unit >= last or (digit is None and (unit != 10 or section)):
                return None
            section, digit, last = section + (1 if digit is None else digit) * unit, None, unit
        else:
            section += digit or 0
            if not section and not total:
                return None
            total = (total + section) * _LARGE[char] if char in "亿億" else total + section * _LARGE[char]
            section, digit, last = 0, None, 10_000
    return total + section + (digit or 0)
