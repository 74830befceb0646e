"""What phrase a sentence gives as its answer: one that says the question again, or one that refuses.

Read is only what is sure. A sentence says a question again where it holds all the question's own words,
and everything else stands together before or behind them: that is the answer ("The capital of France is
Paris."). In Chinese, and where a blank is asked for, it must be the question word for word, with something
in the place of the blank. Any other sentence stays whole.
"""

# ruff: noqa: E501 (patterns read better on one line)

import re
from typing import NamedTuple

from branchwise.data.types import NO_ANSWER

MAX_WORDS, MAX_CHARS = 60, 400
"""A longer sentence is not looked at."""

_WORD = re.compile(r"[^\W_]+(?:[-.,'’][^\W_]+)*")
_BE = frozenset("is are was were be been being".split())
_AUX = frozenset("do does did has have had will would can could may might shall should must".split())
_PREPOSITIONS = frozenset(
    "in on at from by to for of with under during after before into since until".split()
)
_OTHERS = frozenset(
    "a an the it its they their he his she her that this these those which who whom whose what when where and "
    "as there also so there's it's name names named called known kind type sort".split()
)
_DO, _HAVE = frozenset("do does did".split()), frozenset("have has had".split())
_FUNCTION = _BE | _AUX | _PREPOSITIONS | _OTHERS
_PLACES = frozenset(("in", "on", "at"))
_IRREGULAR = dict(
    pair.split(":")
    for pair in (
        "built:build began:begin begun:begin won:win wrote:write written:write made:make led:lead held:hold became:become "
        "came:come went:go gone:go gave:give given:give took:take taken:take ran:run grew:grow grown:grow drew:draw "
        "drawn:draw knew:know spoke:speak broke:break broken:break chose:choose chosen:choose fell:fall left:leave "
        "lost:lose met:meet sent:send spent:spend stood:stand taught:teach wore:wear bought:buy brought:bring "
        "caught:catch fought:fight sang:sing sat:sit shot:shoot sold:sell told:tell said:say paid:pay died:die "
        "lay:lie kept:keep dug:dig ate:eat eaten:eat rode:ride rose:rise threw:throw thrown:throw"
    ).split()
)
_ASKS = re.compile(
    r"^(?P<before>(?:in|on|at|from|by|to|for|of|with|under|during|after|before|into|about)\s+)?"
    r"(?P<wh>what|which|whose|whom|who|when|where|how (?:many|much|long|old|tall|far|high|deep|large|big|often))\b",
    re.IGNORECASE,
)
_SOURCE = r"(?:the|this|that)\s+(?:given\s+|provided\s+)?(?:text|passage|context|article|document|paragraph|story)s?"
_ACCORDING = re.compile(
    rf"^(?:according to|based on|as (?:stated|mentioned|said) in|in)\s+{_SOURCE}[^,.]*,\s*", re.IGNORECASE
)
_ASIDE = re.compile(
    r",\s*(?:which|who|where|when|as|because|since|according)\b.*|\s+(?:because|according to|as stated|as mentioned)\b.*|\s*[;(].*",
    re.IGNORECASE | re.DOTALL,
)
_DATED = re.compile(r"\s+(?:in|on|at)\s+\S*\d.*$")
_DENIES = re.compile(r"\b(?:not|no|never|neither|nor|none|cannot|if|whether)\b|n't\b", re.IGNORECASE)


_UNSURE = re.compile(r"\bor\b|\bhappen", re.IGNORECASE)
"""Questions whose answer is one of two things said, or a whole sentence."""
_MOST_OF_A_NUMBER = 3
"""Words of an answer to "how many" that stands first."""


class _Word(NamedTuple):
    """A word of a sentence: its place, itself in lower case, and its stem."""

    start: int
    end: int
    plain: str
    stem: str


def restated(text: str, question: str) -> str:
    """The answer of one sentence that says the question again around it; "" where that is not sure."""
    sentence = re.sub(r"\*\*|__|`", "", text).strip()
    if "\n" in sentence or len(sentence) > MAX_CHARS:
        return ""
    return _filled(sentence, question) or _around(sentence, question)


_BLANK = re.compile(
    r"\[MASK\]|什么时候|什么地方|什么|哪里|哪儿|哪年|哪一年|何时|何地|何处|何人|谁|多少|多久|多长时间|几"
)


def _filled(sentence: str, question: str) -> str:
    """What stands in the place of the question's blank, all other words being the question's."""
    blanks = list(_BLANK.finditer(question))
    if len(blanks) != 1:
        return ""
    before, behind = question[: blanks[0].start()].strip(), question[blanks[0].end() :]
    behind = behind.strip().rstrip("?？.。呢").strip()
    said = sentence.rstrip(".。!！").strip()
    inner = said[len(before) : len(said) - len(behind)].strip()
    is_same = said.casefold().startswith(before.casefold()) and said.casefold().endswith(
        behind.casefold()
    )
    if not is_same or len(before) + len(behind) < 3 or len(before) + len(behind) >= len(said):
        return ""
    return "" if re.search(r"[，,；;。:：]", inner) else inner


def _around(sentence: str, question: str) -> str:
    """What stands before or behind the words of an English question."""
    asked = _ASKS.match(question.strip())
    if asked is None or _UNSURE.search(question) or _DENIES.search(sentence):
        return ""
    sentence = _ACCORDING.sub("", sentence)
    noun, wanted, verb = _wanted(question.strip()[asked.end() :], asked["wh"].lower())
    words = _words(sentence)
    helped = {word.plain for word in words} & (_BE | _AUX)
    if not verb & (helped | {word.stem for word in words}) or (not helped and len(wanted) < 2):
        return ""  # no sentence, but a phrase that holds the question's words: "Google Maps"
    known = [n for n, word in enumerate(words) if word.stem in wanted]
    if not known or len(words) > MAX_WORDS or {words[n].stem for n in known} != wanted:
        return ""
    new = [n for n, word in enumerate(words) if _is_new(word, wanted, noun)]
    if not new or re.search(r"[.!?]\s", sentence[: words[new[0]].start]):
        return ""
    if min(new) > max(known):
        return _behind(sentence, words[max(known) + 1 :], asked, noun)
    if max(new) < min(known):
        return _before(sentence, words[: min(known)], asked, noun)
    return ""


def _wanted(rest: str, wh: str) -> tuple[str, set[str], set[str]]:
    """The noun that a question asks for ("which town"), as its stem, the stems of its other words, and those
    of which one must be there as the verb of an answer that is a sentence.
    """
    words = _words(rest)
    noun = ""
    if wh not in ("who", "whom", "when", "where") and len(words) > 1 and words[0].plain not in _FUNCTION:
        is_verb = wh == "what" and words[1].plain in _FUNCTION - _BE - _AUX
        if not is_verb:
            noun, words = words[0].stem, words[1:]
    wanted = {word.stem for word in words if word.plain not in _FUNCTION} - {noun}
    helpers = {word.plain for word in words if word.plain in _BE | _AUX}
    if helpers & _HAVE:
        return noun, wanted, set(_HAVE)
    if helpers & _DO:
        return noun, wanted, wanted
    if helpers & (_BE | _AUX):
        return noun, wanted, set(_BE | _AUX)
    return noun, wanted, {words[0].stem} & wanted | set(_BE | _AUX) if words else set()


def _words(text: str) -> list[_Word]:
    return [
        _Word(match.start(), match.end(), match.group().casefold(), _stem(match.group().casefold()))
        for match in _WORD.finditer(text)
    ]


def _stem(word: str) -> str:
    """A word without its ending, so that "ripens" and "ripen" are one; rough, and the same for both sides."""
    word = re.sub(r"['’]s$", "", word)
    word = _IRREGULAR.get(word, word)
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)]
            word = word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "ls" else word
            break
    return re.sub(r"i$", "y", word.removesuffix("e"))


def _is_new(word: _Word, wanted: set[str], noun: str) -> bool:
    return word.stem not in wanted and word.stem != noun and word.plain not in _FUNCTION


def _behind(sentence: str, words: list[_Word], asked: re.Match[str], noun: str) -> str:
    """The answer at a sentence's end, without the words that join it to what is said again."""
    wh, lead = asked["wh"].lower(), (asked["before"] or "").strip().lower()
    joins = {lead, "by", "of", *(_PLACES if wh in ("when", "where") else ())}
    place = 0
    while place < len(words):
        word = words[place]
        is_named = (
            place + 1 < len(words) and word.plain in ("a", "an", "the") and words[place + 1].stem == noun
        )
        if word.plain not in joins | _BE | _AUX and word.stem != noun and not (noun and is_named):
            break
        place += 1
    if place == len(words):
        return ""
    answer = _ASIDE.sub("", sentence[words[place].start :])
    answer = _DATED.sub("", answer) if wh in ("who", "whom") else answer
    return answer.strip().rstrip(".。!").strip(" ,:\"'“”")


def _before(sentence: str, words: list[_Word], asked: re.Match[str], noun: str) -> str:
    """The answer at a sentence's beginning; not one that a place or time begins ("In 1868 Clara ...")."""
    wh = asked["wh"].lower()
    while words and (words[-1].plain in _FUNCTION or words[-1].stem == noun):
        words = words[:-1]
    if words and words[0].plain in _PREPOSITIONS:
        if wh not in ("when", "where"):
            return ""
        words = words[1:] if words[0].plain in _PLACES else words
    skipped = 2 if words and words[0].plain in ("a", "an", "the") else 1
    if noun and len(words) > skipped and words[skipped - 1].stem == noun:
        words = words[skipped:]
    if not words or (wh == "how many" and len(words) > _MOST_OF_A_NUMBER):
        return ""
    return sentence[words[0].start : words[-1].end]


_SORRY = r"(?:(?:sorry|unfortunately|i(?:['’]m| am) sorry|i apologi[sz]e)\s*[,.]?\s*(?:but\s+)?)?"
_CANNOT = r"(?:cannot|can ?not|can['’]t|could not|couldn['’]t|am unable to|['’]m unable to|was unable to|am not able to|do not|don['’]t)"
_SAYS_NONE = r"(?:does not|doesn['’]t|do not|don['’]t|did not|didn['’]t)\s+(?:explicitly\s+|directly\s+|specifically\s+)?"
_REFUSES = re.compile(
    rf"^{_SORRY}(?:based on {_SOURCE}\s*,\s*)?(?:"
    rf"i\s*{_CANNOT}\s+(?:find|determine|answer|locate|know|tell|have\s+(?:enough|any|the|this|that)|see any)\b|"
    rf"{_SOURCE}(?: (?:provided|given|above))?\s+{_SAYS_NONE}(?:mention|say|state|provide|contain|specify|give|tell|include|indicate|explain|answer|name)\b|"
    r"there (?:is|was|are) (?:no|not enough|insufficient) (?:information|mention|indication|evidence|details?)\b|"
    r"(?:(?:it|this|that) (?:is|was) )?not (?:explicitly )?(?:mentioned|stated|specified|provided|given|found) in (?:the|this)\b|"
    r"(?:很|非常)?(?:抱歉|对不起|遗憾)?[，,]?\s*(?:根据.{0,12}[，,])?我?(?:(?:在|从)?(?:文中|文章|原文|材料|短文|本文|该文|文本|段落)(?:中|里|内)?(?:并|也)?(?:没有|未|无)(?:明确)?(?:提到|提及|说明|给出|涉及|指出|提供)|"
    r"(?:无法|不能)(?:回答|确定|得知|找到|从|根据)|找不到|不知道))",
    re.IGNORECASE,
)
_YET = re.compile(
    r"\b(?:but|however|although|though|nevertheless|still)\b|但|不过|然而|可以推断", re.IGNORECASE
)


def refused(text: str) -> str:
    """NO_ANSWER where a reply says in words of its own that the text holds none, and nothing else."""
    said = re.sub(r"\*\*|__|`", "", text).strip()
    match = _REFUSES.match(said)
    if match is None or len(said) > MAX_CHARS or _YET.search(said, match.end()):
        return ""
    return NO_ANSWER
