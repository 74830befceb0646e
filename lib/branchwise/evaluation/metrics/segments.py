"""Texts of any language but English, normalised and cut into the segments that F1 counts.

Two texts are the same that differ only, in this order, by

- the width or form of a letter or digit (NFKC), and characters of category Cf: marks of direction,
  joiners, zero-width spaces;
- case (casefold; in Turkish, I is the capital of dotless ı);
- vowel points and tatweel in Arabic, Persian, Urdu and Hebrew, which a writer may leave out (MLQA's
  scorer keeps them);
- the script of a decimal digit;
- punctuation: category P, and ASCII's marks as in SQuAD (MLQA's rule). It is dropped and leaves no
  space. A text of nothing else stays as it is: "+" is not "-";
- white space beside characters of scripts without spaces;
- the Arabic article ال where a word of two more letters begins with it. (MLQA's scorer drops it inside
  of words too, where it is no article; XQuAD's keeps it.) No other article is dropped but English ones.

A segment is a word between spaces; in scripts without spaces (Han, kana, Thai, Lao, Khmer, Burmese) it
is a character with the marks that belong to it, as in CMRC's, DRCD's and MLQA's scorers. Korean is cut
at spaces. Nothing is stemmed.
"""

import string
import unicodedata

import regex

_FORMAT = regex.compile(r"\p{Cf}")
_POINTS = regex.compile(
    r"[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]"
)
_POINTED = frozenset({"ar", "fa", "ur", "he"})
_DIGIT = regex.compile(r"\p{Nd}")
# The letter that Ukrainian has for an apostrophe is written as one of the marks, too.
_PUNCTUATION = regex.compile(rf"[\p{{P}}\u02bc{regex.escape(string.punctuation)}]")
_ARTICLE = regex.compile(r"\bال(?=\w{2})")
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_SEGMENT = regex.compile(rf"(?=[{_UNSPACED}])\X|[^\s{_UNSPACED}]+")
# NFKC takes SARA AM apart, before or after which a tone mark may be typed; a reader sees no difference.
_SARA_AM = (
    (regex.compile("\u0e4d([\u0e48-\u0e4b]?)\u0e32"), "\\1\u0e33"),
    (regex.compile("\u0ecd([\u0ec8-\u0ecb]?)\u0eb2"), "\\1\u0eb3"),
)


def segments(text: str, language: str) -> list[str]:
    """The segments of a text in a language that is not English, normalised as the module says."""
    text = _folded(text, language)
    text = _PUNCTUATION.sub("", text).strip() or text
    if language == "ar":
        text = _ARTICLE.sub("", text)
    return _SEGMENT.findall(" ".join(text.split()))  # all that str takes for white space


def _folded(text: str, language: str) -> str:
    """The text without what is only another way to write the same letters and digits."""
    text = _FORMAT.sub("", _compatible(text))
    if language == "tr":
        text = text.replace("İ", "i").replace("I", "ı")
    text = _compatible(text.casefold())
    if language in _POINTED:
        text = _POINTS.sub("", text)
    # The pattern may know digits of a newer Unicode than Python does: they stay as they are.
    return _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0], digit[0])), text)


def _compatible(text: str) -> str:
    text = unicodedata.normalize("NFKC", text)
    for apart, whole in _SARA_AM:
        text = apart.sub(whole, text)
    return text
