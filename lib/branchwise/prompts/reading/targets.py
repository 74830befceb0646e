"""Options where a reply names them: by letters ("A, C"), by their words ("Rome"), or by both ("B. Rome").

A letter is only taken where it cannot be a word or a part of one: what follows it has to close it.
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from branchwise.data.types import LETTERS
from branchwise.prompts.reading.reply import BOX_CLOSES, BOX_OPENS, plain

_OPENS = re.compile(
    rf"[\s({{\[\"'{BOX_OPENS}<]{{0,8}}(?:(?:options?|choices?|letters?)\b|选项)?[\s({{\[\"'{BOX_OPENS}<:]{{0,8}}",
    re.IGNORECASE,
)
_SHUTS = re.compile(rf"\s*[)}}\]\"'{BOX_CLOSES}>]+|")
_LABEL = re.compile(r"\s*(?:[.:)、,\-–—=]|选项|项)*\s*[\"'(\[]?")
_ASIDE = re.compile(r"\s*\([^()\n]{0,200}\)")
_JOIN = re.compile(
    r"\s*(?:,|;|/|&|\+|\||、|;|(?:and|or|plus|as well as|along with)\b|以及|还有|和|及|与|跟|或)\s*"
    r"(?:(?:and|or|also)\b|和|及|与|以及)?\s*|[ \t]+|",
    re.IGNORECASE,
)
_NEW_LINE = re.compile(r"[ \t]*[,;、.。]?\s*\n\s*")
_FOLLOWS = (
    r"because|since|as|for|over|rather|and not|but|which|not|instead|due|given|based|according|would|"
    r"is|are|was|were|seems?|fits?|must|should|can|could|has|by far|here|too|in this|if|both|all|only|"
    r"due|then|with|when|where|while|who|whose|option|choice|answer"
)
_FOLLOWS_HAN = (
    "选项|项|和|及|与|以及|或|跟|还有|是|为|才|都|均|也|正确|错|对|不|说法|描述|叙述|的|符合|因|由|而|更|最|"
    "这|当选|入选|解|理由|故|有误|排除|吧|了|可能|应|即|较|就|等|则|其|所以|属|后|中|之"
)
_MARKS = rf"$|[\n.,;:!?()\[\]{{}}\"'{BOX_OPENS}{BOX_CLOSES}<>/|+&=~…。、—–✓✔√✅✗✘×❌→]|-(?!\w)"
_CLOSED = re.compile(rf"\s*(?:{_MARKS}|(?:{_FOLLOWS_HAN})|(?:{_FOLLOWS}|and|or|plus)\b)", re.IGNORECASE)
_CLOSED_WORDS = re.compile(
    rf"\s*(?:{_MARKS}|因|由|故|这|为正|是正|是对|才|都|均|正确|错|不对|符合|和|及|与|以及|或|(?:{_FOLLOWS}|and|or)\b|"
    rf"(?<=\s)[A-J](?:[.):、]|\s*$))",
    re.IGNORECASE,
)
_BRACKETED = {
    letter: re.compile(rf"\s*[(\[]\s*(?:option\s+)?{letter}\s*[)\]]", re.IGNORECASE) for letter in LETTERS
}
_STOP = re.compile(r"\s*[.。]\s+")
_ENDS = re.compile(r"[.。]?\s*(?:\n|$)")
_ENDS_CLAUSE = re.compile(r"\s*(?:$|[\n.,;。、])")

Kind = Literal["letters", "words", "labels"]


class Target(NamedTuple):
    """Options named in a row: their letters in order, how they are named, and where that ends."""

    letters: str
    kind: Kind
    start: int
    end: int


class Options:
    """The options of a question, as plain words."""

    def __init__(self, options: Sequence[str]) -> None:
        self.letters = LETTERS[: len(options) or None]
        self.is_known = bool(options)
        words = [plain(option).strip().casefold() for option in options]
        self.words = [word.rstrip(" .。;,") or word for word in words]
        order = sorted(range(len(options)), key=lambda index: -len(self.words[index]))
        self._longest_first = [(self.letters[index], self.words[index]) for index in order]
        allowed = self.letters
        self._run = re.compile(
            rf"[{allowed}](?:[ \t]?[{allowed}](?![A-Za-z0-9'’])){{0,10}}(?![A-Za-z0-9])|[{allowed}]{{2,10}}(?![A-Za-z0-9])"
        )
        self._small = re.compile(rf"[{allowed}](?![A-Za-z0-9'’-]*[A-Za-z0-9])", re.IGNORECASE)
        self._upper = re.compile(rf"(?<![A-Za-z0-9_'’.\-])[{allowed}]{{1,10}}(?![A-Za-z0-9_'’])")

    def own_words(self, text: str, pos: int, letter: str) -> int | None:
        """Where an option's words end that stand at `pos`; None where they do not."""
        if not self.is_known:
            return None
        word = self.words[self.letters.index(letter)]
        return self._stands(text, pos, word)

    def _stands(self, text: str, pos: int, word: str) -> int | None:
        said = text[pos : pos + len(word)].casefold()
        if said != word:
            return None
        end = pos + len(word)
        if word[-1].isascii() and word[-1].isalnum() and text[end : end + 1].isascii():
            return end if not text[end : end + 1].isalnum() else None
        return end

    def words_at(self, text: str, pos: int) -> Iterator[tuple[str, int]]:
        """Letters of the options whose words stand at `pos` and are closed there, longest first."""
        for letter, word in self._longest_first:
            end = self._stands(text, pos, word) if word else None
            if end is not None and _CLOSED_WORDS.match(text, end):
                yield letter, end

    def mentions(self, text: str) -> Iterator[int]:
        """Places of letters of options in capitals, one or a run of them ("ABD"), that are no part of a word."""
        return (match.start() for match in self._upper.finditer(text))

    def one(self, text: str, pos: int, small: bool) -> Target | None:
        """One option, or letters without anything between them, at `pos`."""
        start = _OPENS.match(text, pos).end()  # type: ignore[union-attr]
        for letter, end in self.words_at(text, start):
            if len(self.words[self.letters.index(letter)]) > 1:
                return self._with_letter(text, start, letter, end)
        run = self._run.match(text, start)
        letters = run.group() if run else ""
        if run is None and small and (run := self._small.match(text, start)):
            letters = run.group().upper()
        if run is None:
            words = next(self.words_at(text, start), None)
            return self._with_letter(text, start, *words) if words else None
        end = run.end()
        letters = "".join(char for char in letters if char in self.letters)
        if len(set(letters)) < len(letters):
            return None
        if len(letters) == 1:
            label = _LABEL.match(text, _SHUTS.match(text, end).end()).end()  # type: ignore[union-attr]
            ends = self.own_words(text, label, letters)
            if ends is not None and _CLOSED_WORDS.match(text, ends):
                return Target(letters, "labels", start, _SHUTS.match(text, ends).end())  # type: ignore[union-attr]
        end = _SHUTS.match(text, end).end()  # type: ignore[union-attr]
        return Target(letters, "letters", start, end)

    def _with_letter(self, text: str, start: int, letter: str, end: int) -> Target:
        """Words, and their letter in brackets where that follows."""
        end = _SHUTS.match(text, end).end()  # type: ignore[union-attr]
        if bracket := _BRACKETED[letter].match(text, end):
            return Target(letter, "labels", start, bracket.end())
        return Target(letter, "words", start, end)

    def at(self, text: str, pos: int, small: bool = False, lines: bool = False) -> Target | None:
        """All options that are named in a row from `pos` on; None where there are none.

        With `small` a small letter counts too, with `lines` the row goes on over line ends.
        """
        first = self.one(text, pos, small)
        if first is None or not self._is_closed(text, first):
            return None
        found, end, kinds = list(first.letters), first.end, {first.kind}
        while True:
            following = self._next(text, end, small, lines, kinds)
            if following is None or set(following.letters) <= set(found):
                break
            found += following.letters
            kinds.add(following.kind)
            end = following.end
        kind: Kind = "labels" if "labels" in kinds or len(kinds) > 1 else first.kind
        return Target("".join(sorted(set(found))), kind, first.start, end)

    def _next(self, text: str, end: int, small: bool, lines: bool, kinds: set[Kind]) -> Target | None:
        aside = _ASIDE.match(text, end)
        for place in (end, *([aside.end()] if aside else [])):
            # A joining word may be the beginning of an option's own words ("与肝相表里").
            mark = re.compile(r"\s*[,;、/]\s*").match(text, place)
            joins = [*([mark.end()] if mark else []), _JOIN.match(text, place).end()]  # type: ignore[union-attr]
            joins += [match.end() for match in [_STOP.match(text, place)] if match]
            if lines and (line := _NEW_LINE.match(text, place)):
                joins.append(line.end())
            for join in joins:
                following = self.one(text, join, small and join > place)
                if following is None or following.end <= end:
                    continue
                broke = "\n" in text[place : following.start]
                if broke and not lines:
                    continue
                between = text[place:join].strip()
                is_stop = between in (".", "。")
                if following.kind == "letters":
                    if (is_stop or broke) and not _ENDS.match(text, following.end):
                        continue
                    if following.kind in kinds or between or aside or broke:
                        if self._is_closed(text, following):
                            return following
                elif is_stop and not _ENDS_CLAUSE.match(text, following.end):
                    continue
                elif following.kind == "labels" or between or broke:
                    return following
        return None

    def _is_closed(self, text: str, target: Target) -> bool:
        return target.kind != "letters" or _CLOSED.match(text, target.end) is not None

    def whole(self, text: str) -> Target | None:
        """The options of a text that holds nothing else; a single small letter counts too."""
        target = self.at(text, 0, small=True, lines=True)
        if target is None or re.fullmatch(r"[\s.。,;:!、)\]}\"']*", text[target.end :]) is None:
            return None
        return target
