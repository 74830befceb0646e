"""What a reply to a multiple choice chooses: rules from the surest to the weakest.

How many options are right is not known to the reader, so one rule decides it: a conclusion gives what
it names, one letter or a list, and of several conclusions the last counts. Only where a reply draws no
conclusion do its verdicts on single options ("C is right") add up. What is turned down, asked or
supposed ("not A", "Is it A?", "if A") is never taken.
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from branchwise.prompts.reading.reply import BOX_OPENS, plain
from branchwise.prompts.reading.targets import Options, Target

MAX_CHARS = 8_000
"""Of a longer reply the first line and this many last characters are read."""
MAX_CUES, MAX_FILL = 60, 160
"""Of one kind of cue this many last ones are looked at; this many characters may fill up to the options."""


class Claim(NamedTuple):
    """Letters that a reply gives as its answer, and where."""

    start: int
    letters: str


class Choice:
    """A reply to a multiple choice, plain, with the options that it may name."""

    def __init__(self, text: str, options: Options, question: str = "") -> None:
        if len(text) > 2 * MAX_CHARS:
            text = text.strip().partition("\n")[0][:MAX_CHARS] + "\n" + text[-MAX_CHARS:]
        self.text = plain(text)
        self.options = options
        self.asks_for_wrong = _ASKS_WRONG.search(plain(question)) is not None

    @cached_property
    def whole(self) -> Target | None:
        """The options that the reply holds and nothing else."""
        return self.options.whole(self.text)

    @cached_property
    def conclusions(self) -> dict[str, Claim]:
        """The last claim of every kind of conclusion, by its rule."""
        found = {}
        for name, claims in _CONCLUSIONS.items():
            if last := max(claims(self), default=None):
                found[name] = last
        return found

    @cached_property
    def labelled(self) -> dict[str, list[str]]:
        """Lines that begin with an option's letter, without it, by letter."""
        found: dict[str, list[str]] = {}
        for line in self.text.splitlines():
            if match := _LABELLED.match(line):
                letter = match.group(1)
                if letter in self.options.letters:
                    found.setdefault(letter, []).append(line[match.end() :].strip())
        return found


_LABELLED = re.compile(
    r"\s*[(\[]?(?:(?:options?|choice)\s+|选项)?([A-J])(?:选项|项)?\s*(?:[)\]]|[.:、,)](?!\S?\d)|-\s|[—–])+"
)
_ASKS_WRONG = re.compile(
    r"错误|不正确|不对|不当|不妥|有误|不符合|\b(?:incorrect|false|wrong|untrue|NOT|EXCEPT|not (?:true|correct))\b"
)
_REJECTED = re.compile(
    r"\s*(?:选项|项)?\s*(?:[)\]\"']\s*)*"
    r"(?:(?:is|are|was|were|seems?|looks?|would be|can be|could be|must be)\s+"
    r"(?:(?:also|both|all|clearly|just|simply|definitely|obviously|thus|therefore|likely|probably)\s+)?)?"
    r"(?:的?(?:说法|描述|叙述)?(?:是|都|均|也|则)?(?:错|不|非|有误|排除|误)|"
    r"(?:wrong|incorrect|false|not|out|ruled|eliminated|excluded|unsupported|impossible|irrelevant|"
    r"inaccurate|untrue|unlikely|too|cannot|can't|isn't|aren't|wasn't|doesn't|don't|does not|do not)\b|"
    r"[✗✘×❌])",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"(?:\bnot\b(?! (?:hard|difficult|surprising|only|just))|n't\b|\bnever\b|\bneither\b|\bnor\b|\bif\b|\bwhether\b|\bunless\b|"
    r"\b(?:eliminat|exclud|reject|discard|dismiss|ruling? out|ruled out|rules? out)\w*|"
    r"\b(?:in?correct|wrong|false)\b(?<!\bcorrect)|\bexcept\b|\brather than\b|\binstead of\b|\bthan\b)"
    r"[^.,;:\n!?。]{0,28}$|"
    r"(?:不能?|不会|不宜|不应该?|不可|不要|并非|非|勿|别|没有?|排除|如果|若|假如|假设|是否)[选择为是]?[^\w\s]?\s?\w{0,2}$",
    re.IGNORECASE,
)
_WRONG_ONE = re.compile(
    r"(?:错误|不正确|不对|不符|不属|不当|无关|有误|不包括|除外)[^,;。\n]{0,12}$|\b(?:incorrect|wrong|false)\b[^.,;\n]{0,30}$",
    re.IGNORECASE,
)
_FILL = re.compile(
    r"(?:[\s:,=>\-—–→\"'()\[\]…]|\b(?:is|are|was|be|would|should|must|will|has to|have to|can|could|may|might|only|"
    r"clearly|definitely|probably|likely|most|indeed|therefore|thus|then|hence|so|simply|just|actually|"
    r"obviously|certainly|really|in fact|options?|choices?|letters?|answers?|number|the|correct|right|best|"
    r"one|both|to|go|with|for|of|it|it's|that|that's|this|they|as follows|following|I|I'd|I'll|we|think|believe|"
    r"say|choose|pick|select|seems?|statements?|selected|chosen|final|my|our|overall)\b(?!-)|"
    r"应该|应当|应|选择|选项|选|是|为|就|即|的|只有|有|包括|答案|正确|最终|我|认为|本题|此题|可以|可|得出|得|出|知)*+"
)
_ANSWER = (
    r"\b(?:answers?|ans|solution|verdict|response|conclusion|result|"
    r"(?:correct|right|best|appropriate|suitable|accurate|closest|likely|final|selected|chosen|true)\s+"
    r"(?:options?|choices?|letters?|ones?|statements?|responses?|picks?|selections?)|my\s+(?:choice|pick|selection|guess)|selection)\b|"
    r"答案|正确(?:的)?(?:选项|说法|是|为|有)|正确的(?:选项|说法|描述|叙述)?(?:是|为|有|包括|:)|"
    r"的(?:选项|说法|描述|叙述|项)?(?:是|为|有|包括):?|^\s*答\s*:|^\s*(?:选项|选择|choices?|options?|selected|correct|right)\s*:"
)
_CONNECTOR = re.compile(
    r"\b(?:is|are|was|be|being)\b|[:=→]|->|=>|是|为|选|应|有|(?<=\s)-(?=\s)", re.IGNORECASE
)
_CHOSEN = (
    r"\b(?:choose|choosing|chose|picks?|picking|select|selecting|go(?:ing)? (?:with|for)|opt(?:ing)? for|conclude|settle on|"
    r"vote for|lean(?:ing)? towards?|prefer|choosing|leaves?(?: us)?(?: with)?|leaving(?: us)?(?: with)?|"
    r"points? to|matches|corresponds to|supports|i(?:'d| would|'ll| will)? say|narrows? (?:it )?down to)\b|"
    r"(?:故|应|本题|因此|所以|我|此题|综上|则|即|宜|当|首)?选(?:择|项|出|取|中)?|我(?:认为|觉得|判断|估计|猜)"
)
_CONCLUDED = (
    r"\b(?:therefore|thus|hence|so|consequently|accordingly|in conclusion|in summary|in short|overall|finally|"
    r"to conclude|to sum up|ergo|conclusion|that means|which means|meaning|it is|it's|it must be|it has to be|it should be|"
    r"it would be|it can only be|this is|that is|that's|must be|has to be|yes)\b|"
    r"因此|所以|故|综上(?:所述|可知)?|可见|由此(?:可知|可见)?|因而|总之|可知|结论|最终|于是|(?<![不选])应该?是"
)
_CORRECTED = (
    r"\b(?:wait|actually|correction|corrected|on second thoughts?|scratch that|no|oops|sorry|apologies|my mistake|hmm+|hm|rather|"
    r"i mean|i meant|make that|change (?:it|that|my answer) to|revised|revise|let me correct (?:that|myself))\b|"
    r"等等|等一下|更正|纠正|修正|改为|改成|改选|应改为|不对|重新考虑(?:后)?|抱歉"
)
_THEN = ("因此", "所以", "故", "因而", "可见")
_IS_RIGHT = re.compile(r"\s*(?:选项|项)?\s*(?:是|也|均|都)?(?:正确|错误|对|错)(?!答案)")
"""A clause such as "故A正确" is a verdict on one option, one of several, and not the conclusion."""
_BETWEEN = r"\b(?:between|out of|among|either)\b[^.\n;,]{1,60},"
_FIRM = re.compile(
    r"\s*(?:选项|项)?\s*(?:(?:is|are|was|must be|would be|should be|seems(?: to be)?|has to be|remains)\s+)"
    r"(?:(?:clearly|therefore|definitely|thus|probably|likely|most likely|indeed|also|then|hence|by far)\s+)*"
    r"(?:(?:the|my|our)\s+)(?:(?:only|single|one|most|more|very|final)\s+)*"
    r"(?:(?:correct|right|best|appropriate|suitable|accurate|likely|plausible|logical|true|supported|reasonable|final)\s+)*"
    r"(?:answers?|options?|choices?|one|ones|selection|pick|response|solution|statement|correct|right|best)\b"
    r"|\s*(?:选项|项)?\s*(?:才|就|即)?(?:是|为)(?:本题|此题|最终|唯一)?的?(?:最佳|正确)?的?(?:答案|选项)|\s*(?:选项|项)?(?:当选|入选)",
    re.IGNORECASE,
)
_SOFT = re.compile(
    r"\s*(?:选项|项)?\s*(?:的?(?:说法|描述|叙述)?(?:是|为|均|都|也|才|则|最)*)(?:正确|对(?!应|于|照|比)|符合题意|恰当|合适|属于正确)"
    r"|\s*(?:(?:is|are|was|seems?|must be|would be|should be)\s+)?"
    r"(?:(?:clearly|therefore|definitely|both|all|also|the|a|an|thus|indeed|most|more|likely)\s+){0,6}"
    r"(?:correct|right|true|supported|best|accurate|appropriate)\b(?! (?:side|hand|leg|arm|lung))"
    r"|\s+(?:fits|matches|works|holds|follows|wins|stands)(?:\s+(?:best|well|better))?\b(?! (?:the|a|an)\b)"
    r"|\s*[✓✔√✅]",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"\s*(?:选项|项)?\s*(?:的?(?:说法|描述|叙述)?(?:是|为|均|都|也)*)(?:错|不正确|不对|有误)"
    r"|\s*(?:is|are)\s+(?:(?:clearly|both|all|also|the)\s+)*(?:wrong|incorrect|false|untrue)",
    re.IGNORECASE,
)


def _is_meant(text: str, cue: int, target: Target) -> bool:
    """Whether what is claimed at a cue is neither turned down, asked nor supposed."""
    after = text[target.end : target.end + 80]
    if re.match(r"[\s)\]\"']*\?", after) or _REJECTED.match(after):
        return False
    before = text[max(cue - 60, 0) : cue].rpartition("\n")[2]
    return not _DENIED.search(before)


def _after_cues(
    cue: str, connected: bool = False, small: bool = False, corrects: bool = False
) -> Callable[[Choice], Iterator[Claim]]:
    """A finder of options that follow a cue; `connected`: words may stand between ("The answer to 3 is B")."""
    pattern = re.compile(cue, re.IGNORECASE | re.MULTILINE)

    def find(choice: Choice) -> Iterator[Claim]:
        text = choice.text
        for match in reversed(list(pattern.finditer(text))[-MAX_CUES:]):
            claim = None
            for start in _starts(text, match.end(), connected):
                target = _target_behind(choice, match.end(), start, small)
                if target is None:
                    continue
                between = text[match.end() : target.start]
                said_wrong = _WRONG_ONE.search(
                    text[max(match.start() - 24, 0) : match.end()].rpartition("\n")[2]
                )
                said_wrong = None if corrects else said_wrong
                if said_wrong and not choice.asks_for_wrong and "answer" not in match.group().lower():
                    continue
                if match.group() in _THEN and _IS_RIGHT.match(text, target.end):
                    continue
                denied = _DENIED.search(between) if start != match.end() else None
                if not denied and (
                    _is_meant(text, match.start(), target)
                    or (said_wrong and choice.asks_for_wrong and not _REJECTED.match(text, target.end))
                ):
                    claim = Claim(target.start, target.letters)
                    break  # a later "is" may be a word of the option
            if claim:
                yield claim
                return

    return find


_GAP = re.compile(r"[\s:,=\"'(\[]*(?:是|为|:)?[\s:\"'(\[]*")


def _target_behind(choice: Choice, cue: int, start: int, small: bool) -> Target | None:
    """The options behind a cue: at once, since words that fill may begin an option's own, or after those."""
    text = choice.text
    for gap in (_GAP, _FILL):
        place = gap.match(text, start, start + MAX_FILL).end()  # type: ignore[union-attr]
        target = choice.options.at(text, place, small, lines="\n" in text[cue:place])
        if target is not None and (gap is _FILL or target.kind != "letters"):
            return target
    return None


def _starts(text: str, start: int, connected: bool) -> Iterator[int]:
    """Where options may begin behind a cue."""
    yield start
    if connected:
        window = re.compile(r"[^.\n;!?。]{0,80}").match(text, start)
        for match in _CONNECTOR.finditer(text, start, window.end() if window else start):
            yield match.end()


def _before(predicate: re.Pattern[str]) -> Callable[[Choice], Iterator[Claim]]:
    """A finder of options that something is said of ("C is the correct answer")."""

    def find(choice: Choice) -> Iterator[Claim]:
        text, end = choice.text, -1
        for match in predicate.finditer(text):
            for start in _named_before(choice, match.start()):
                target = choice.options.at(text, start)
                if target and start > end - 1 and predicate.match(text, target.end):
                    if _is_meant(text, start, target):
                        yield Claim(target.start, target.letters)
                    end = target.end
                    break

    return find


def _named_before(choice: Choice, end: int) -> Iterator[int]:
    """Where options may begin that end at `end`: letters and words of the sentence before, first ones first."""
    start = max(end - 240, 0)
    before = choice.text[start:end]
    begin = start + max(before.rfind(mark) for mark in ("\n", ". ", "。", "; ", ";", "!", "?")) + 1
    begin = max(begin, start)
    sentence = choice.text[begin:end]
    yield from (begin + place for place in choice.options.mentions(sentence))
    if choice.options.is_known:
        lowered = sentence.casefold().rstrip()
        for word in choice.options.words:
            if len(word) > 1 and lowered.endswith(word):
                yield begin + len(lowered) - len(word)


_SENTENCE_END = re.compile(r"[.!?;:][\s\"')]+|[。!?;,]\s*")
_LAST_FILL = re.compile(
    r"(?:(?:(?:but|so|then|it's|it is|it must be)\b|而?应?该?是|应为|则选|而选|选)\s*)+", re.IGNORECASE
)


def _last_sentence(choice: Choice) -> Iterator[Claim]:
    """The options that the last sentence holds and nothing else, unless they end a list of all."""
    text = choice.text.rstrip(" .。!\n")
    line = text.rfind("\n") + 1
    if len(choice.labelled) > 1 and _LABELLED.match(text, line):
        return
    for start in sorted({line, *(m.end() for m in _SENTENCE_END.finditer(text, line))}):
        begin = _LAST_FILL.match(text, start)
        is_clause = text[start - 1 : start] in (",", " ") and text[:start].rstrip().endswith(",")
        if is_clause and not begin:
            continue
        start = begin.end() if begin else start
        if start and (target := choice.options.whole(text[start:])) and _is_meant(text, start, target):
            yield Claim(start, target.letters)
            return


_CONCLUSIONS: dict[str, Callable[[Choice], Iterator[Claim]]] = {
    "boxed": _after_cues(BOX_OPENS, small=True),
    "answer": _after_cues(_ANSWER, connected=True, small=True),
    "called_answer": _before(_FIRM),
    "chosen": _after_cues(_CHOSEN),
    "concluded": _after_cues(rf"{_CONCLUDED}|{_BETWEEN}"),
    "corrected": _after_cues(_CORRECTED, corrects=True),
    "last_sentence": _last_sentence,
}


def only(kind: str) -> Callable[[Choice], str]:
    """A rule: the reply holds options of this kind and nothing else."""
    return lambda choice: choice.whole.letters if choice.whole and choice.whole.kind == kind else ""


def conclusion(name: str) -> Callable[[Choice], str]:
    """A rule: of all conclusions of the reply the last is of this kind."""

    def read(choice: Choice) -> str:
        found = choice.conclusions
        last = max(found.values(), default=None, key=lambda claim: claim.start)
        return last.letters if last and found.get(name) == last else ""

    return read


def first_sentence(choice: Choice) -> str:
    """The options that the reply begins with, closed, where it does not go through them all."""
    line = choice.text.partition("\n")[0]
    if target := choice.options.whole(line):
        if len(choice.labelled) < 2 or not _LABELLED.match(line):
            return target.letters
        return ""
    target = choice.options.at(choice.text, 0)
    if target is None or len(choice.labelled) > 1 or not _is_meant(choice.text, 0, target):
        return ""
    if target.kind == "words" or _SOFT.match(choice.text, target.end):
        return ""
    return target.letters


_RIGHT_MARK = re.compile(
    r"[\s(\[\-—–:;,.。]*(?:✓|✔|√|✅|☑|\b(?:correct|right|true|yes|supported)\b|正确|对|是|符合)[\s)\].。!;]*",
    re.IGNORECASE,
)
_WRONG_MARK = re.compile(
    r"[\s(\[\-—–:;,.。]*(?:✗|✘|×|❌|✖|\b(?:incorrect|wrong|false|no|not (?:correct|right|true|supported)|unsupported)\b|错误|不正确|不对|错|否|不符合|排除)[\s)\].。!;]*",
    re.IGNORECASE,
)


def _marked(choice: Choice) -> tuple[set[str], set[str]]:
    """Options whose own line begins or ends with a verdict: the right ones, the wrong ones."""
    right, wrong = set(), set()
    for letter, lines in choice.labelled.items():
        for line in lines:
            if any(line[place] != letter for place in choice.options.mentions(line)):
                continue
            end = choice.options.own_words(line, 0, letter)
            rest = line[end or 0 :].strip()
            parts = [rest, re.split(r"[-—–:;,.。(\[\s]+(?=\S+$|not \S+$)", rest.rstrip(" .。)]!"))[-1]]
            for part in parts:
                head = re.split(r"(?<=[a-z✓✔√✅✗✘×❌对误确错是])[\s,.:;。、)\]-]", part)[0]
                if any(_WRONG_MARK.fullmatch(piece) for piece in (part, head)):
                    wrong.add(letter)
                elif any(_RIGHT_MARK.fullmatch(piece) for piece in (part, head)):
                    right.add(letter)
    return right - wrong, wrong


def verdicts(choice: Choice) -> str:
    """All options that are called right; those called wrong where the question asks for these."""
    right, wrong = _marked(choice)
    said = {letter for claim in _before(_SOFT)(choice) for letter in claim.letters}
    turned_down = _turned_down(choice)
    if choice.asks_for_wrong and (wrong | turned_down):
        return (
            "".join(sorted(wrong | turned_down))
            if (right | said) or len(wrong | turned_down) == 1
            else ""
        )
    return "".join(sorted((right | said) - wrong))


def _turned_down(choice: Choice) -> set[str]:
    """Letters that the reply calls wrong."""
    found = set()
    for start in choice.options.mentions(choice.text):
        target = choice.options.at(choice.text, start)
        if target and _WRONG.match(choice.text, target.end):
            found |= set(target.letters)
    return found


def labels(choice: Choice) -> str:
    """The options whose letters begin lines, where these are not all options."""
    named = "".join(sorted(choice.labelled))
    if not named or (choice.options.is_known and len(named) > 1 and named == choice.options.letters):
        return ""
    right, wrong = _marked(choice)
    kept = (right or set(named)) - wrong - _turned_down(choice)
    return "".join(sorted(kept))


def mention(choice: Choice) -> str:
    """The one option that is named by "option B", "B选项" or "(B)", and not turned down."""
    cue = re.compile(r"\b(?:options?|choices?)\s*:?\s*|选项|(?=[(\[])", re.IGNORECASE)
    found = set()
    for match in cue.finditer(choice.text):
        target = choice.options.at(choice.text, match.end())
        is_bracketed = target and choice.text[target.start - 1 : target.start] in ("(", "[")
        if target and (match.group() or is_bracketed) and target.kind != "words":
            if _is_meant(choice.text, match.start(), target):
                found.add(target.letters)
    for match in re.finditer(r"(?<![A-Za-z0-9])([A-J])(?=\s?(?:选项|项))", choice.text):
        target = Target(match.group(1), "letters", match.start(), match.end())
        if match.group(1) in choice.options.letters and _is_meant(choice.text, match.start(), target):
            found.add(match.group(1))
    return found.pop() if len(found) == 1 else ""


def named(choice: Choice) -> str:
    """The only option whose words the reply holds, and not turned down."""
    text = choice.text.casefold()
    found: dict[str, int] = {}
    for letter, word in zip(choice.options.letters, choice.options.words, strict=False):
        if len(word) < 2:
            continue
        edge = (r"(?<!\w)", r"(?!\w)") if word.isascii() else ("", "")
        if places := [m.start() for m in re.finditer(edge[0] + re.escape(word) + edge[1], text)]:
            found[letter] = places[-1]
    if choice.options.is_known:
        # An option whose words are part of another's that is there is not named by itself.
        words = dict(zip(choice.options.letters, choice.options.words, strict=False))
        found = {
            a: at for a, at in found.items() if not any(a != b and words[a] in words[b] for b in found)
        }
    if len(found) != 1:
        return ""
    ((letter, start),) = found.items()
    end = start + len(choice.options.words[choice.options.letters.index(letter)])
    return letter if _is_meant(choice.text, start, Target(letter, "words", start, end)) else ""
