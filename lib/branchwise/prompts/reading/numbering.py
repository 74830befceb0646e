"""Which numbers of a reply are its answers' own, and which belong to lists inside of answers.

Lines that begin with a number, in any of the usual notations, are markers. Answers are numbered in one
notation; of all notations (sign, brackets, word, heading, emphasis, bullet, indent) the one that finds
most answers counts, then the one that begins first. Within it the answers' numbers grow from 1 to n, and
all other markers should form lists of their own, each 1, 2, 3 ... without a gap: the assignment that
leaves the fewest markers over is taken.
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

MAX_MARKERS = 400
"""More markers than these are no numbers of answers; the rest of such a reply is not searched."""

_CIRCLED = {chr(0x2460 + n): n + 1 for n in range(20)} | {chr(0x2776 + n): n + 1 for n in range(10)}
_HAN = {char: value for value, char in enumerate("一二三四五六七八九十", start=1)}
_HAN |= {f"十{char}": 10 + value for char, value in list(_HAN.items())[:9]} | {"二十": 20}
_N = rf"(?P<n>\d{{1,3}}|{'|'.join(sorted(_HAN, key=len, reverse=True))})"
_D = r"(?P<n>\d{1,3})"
_WORD = (
    r"(?P<word>(?:final\s+)?(?:answers?|ans|questions?|quest|problem|item|number|no|task|response|solution|part|[aq])\b"
    r"(?:\s+(?:to|for)\s+(?:questions?|q|item|number|no))?\.?\s*+(?:no\.?|number)?\s*+[#(]?\s*+|[AaQq](?=\d)|"
    r"#(?=\d)|第|(?:答案|问题|题目|回答|答|问|题|任务|小题)\s*(?:第|[(（])?\s*)"
)
_UNIT = r"(?:\s*(?:个?(?:小?题|问题|问|个|项任务|任务|道题)(?:的?(?:答案|回答))?))?"
_CLOSE = (
    r"(?:[.．:：)）、\]】]|\s*[.．:：)）]|\s*[-–—](?=\s)|,(?=\s)|，|(?=\s*$)|(?=\s*\*\*)|(?=\s*[（(]))"
)
_FORMS: dict[str, str] = {
    "word": rf"{_WORD}{_N}{_UNIT}\s*[)）\]】]?(?P<close>\s*(?:answers?|答案|回答)?\s*{_CLOSE})",
    "round": rf"[(（]\s*{_N}\s*[)）](?P<close>[.．:：、]?)",
    "square": rf"[\[【]\s*{_D}\s*[\]】](?P<close>[.．:：、]?)",
    "circled": rf"(?P<n>[{''.join(_CIRCLED)}])(?P<close>[.．:：、]?)",
    "keycap": r"(?P<n>\d)\ufe0f?\u20e3(?P<close>[.．:：、]?)",
    "han": rf"(?P<n>{'|'.join(sorted(_HAN, key=len, reverse=True))})(?P<close>[、.．:：)）])",
    "plain": rf"{_D}(?(bold)(?:\*\*|__|`)?)(?P<close>\s?(?:\\?[.:)\]](?!\d)|[．：）、】；]|;(?!\d)|/(?=\s))[)\-:：]?|\s+[-–—=](?=\s)|"
    r"[-–—](?=[^\d\s])|\s*(?:->|→|=>)|=(?=\s?\D))",
    "column": r"\|\s*(?:Q|A|#|No\.?\s*|第)?(?P<n>\d{1,3})(?:题)?\s*(?P<close>\|)",
    "word_space": rf"(?P<word>questions?|answers?|ans|[aq])\s?{_D}(?P<close>(?=[ \t]+\S))",
    "space": rf"{_D}(?P<close>(?=[ \t]+\S)|(?=\s*$))",
}
_DRESS = (
    r"(?P<indent>[ \t\u3000]*)(?P<quote>(?:>\s?){0,3})(?P<bullet>(?:[-+•·]|\*(?!\*))\s+)?(?P<heading>#{1,6}\s*)?"
    r"(?P<bold>(?:\*\*\*|\*\*|__|\*|`|<b>)\s*)?"
)
_AFTER = r"(?P<shut>(?(bold)(?:\*\*\*|\*\*|__|\*|`|</b>)?))(?P<colon>\s*[:：.．、]?)"
_MARKER = {
    form: re.compile(f"{_DRESS}(?:{pattern}){_AFTER}[ \\t\\u3000]*", re.IGNORECASE)
    for form, pattern in _FORMS.items()
}
_M = r"(?:\*{1,3}|__|`|<b>|</b>)?"
_INLINE = {
    "word": re.compile(
        rf"{_M}(?:(?<!#)#+\s*)?\b(?:answer|question|ans|item|task|no|problem|[AQ])\b\.?\s?[#(]?(?P<n>\d{{1,3}})\)?(?:\s*answers?)?"
        rf"\s*{_M}\s*[.:：)=\-–]?\s*{_M}\s*|{_M}\b[AQ](?P<m>\d{{1,3}})\s*{_M}\s*[.:：)=\-–]?\s*{_M}\s*",
        re.IGNORECASE,
    ),
    "han": re.compile(
        r"(?:答案|问题|回答|题|第)(?P<n>\d{1,3}|[一二三四五六七八九十]{1,2})(?:个?(?:问题|小题|题|问))?(?:的?答案)?[是选为:：,，.、\s]*"
    ),
    "plain": re.compile(
        rf"(?:(?<=^)|(?<=[\s;,，；。.、|*_`#>]))(?P<n>\d{{1,3}})\s?{_M}\s?(?:\\?[.:)=](?!\d)[)\-:]?|[．：）、】；;/]|[\-–→]|->)\s*{_M}\s*"
    ),
    "round": re.compile(r"[(（\[【](?P<n>\d{1,3})[)）\]】][.．:：、]?\s*"),
    "circled": re.compile(rf"(?P<n>[{''.join(_CIRCLED)}])[.．:：、]?\s*"),
    "bare": re.compile(r"(?<![\w.])(?P<n>\d{1,3})\s?(?=[A-Ja-j]\b)"),
}


class Marker(NamedTuple):
    """A number before a line: its value, how it is written, where it begins and where its answer does."""

    number: int
    form: tuple[str, ...]
    start: int
    end: int
    inner: bool = False


class Parts(NamedTuple):
    """A reply cut into its answers: the texts by number, what stands before, and the numbers themselves."""

    texts: dict[int, str]
    before: str
    markers: tuple[Marker, ...]


def value_of(digits: str) -> int:
    """The number that a marker shows."""
    return _CIRCLED.get(digits) or _HAN.get(digits) or (int(digits) if digits.isdigit() else 0)


def markers(text: str) -> list[Marker]:
    """All markers of a reply, in order; of a line that begins with several all, the later ones `inner`."""
    found: list[Marker] = []
    start = 0
    for line in text.splitlines(keepends=True):
        found += _line_markers(line.rstrip("\r\n"), start)
        start += len(line)
        if len(found) > MAX_MARKERS:
            break
    return found


def _line_markers(line: str, start: int) -> Iterator[Marker]:
    if not _HAS_NUMBER.search(line[:60]):
        return
    place = 0
    for depth in range(3):
        match, form = _match(line, place)
        if match is None:
            return
        number = value_of(match["n"])
        if depth and number != 1:
            return
        bold = bool((match["bold"] or "").strip())
        end = match.end()
        indent = len((match["indent"] or "").expandtabs(4))
        word = re.sub(r"[\s.#(（]+", " ", (match.groupdict().get("word") or "").strip().lower()).strip()
        close = match["close"].strip().translate(_SAME)
        if form == "column":
            line_end = line[end:].rstrip()
            if not line_end or set(line_end) <= set("|-: "):
                return
        key = (
            form,
            word,
            close,
            "bold" if bold else "",
            "#" if match["heading"] else "",
            "-" if match["bullet"] else "",
            str(indent),
        )
        yield Marker(number, key, start + place if depth else start, start + end, depth > 0)
        place = end


_HAS_NUMBER = re.compile(rf"[\d一二三四五六七八九十{''.join(_CIRCLED)}]")
_SAME = str.maketrans("．：）】", ".:)]")


def _match(line: str, place: int) -> tuple[re.Match[str] | None, str]:
    for form, pattern in _MARKER.items():
        if form in ("space", "word_space") and place:
            continue
        if match := pattern.match(line, place):
            if value_of(match["n"]):
                return match, form
    return None, ""


_LEVELS = (
    lambda form: form,
    lambda form: form[:-1],
    lambda form: form[:3],
    lambda form: (form[0], form[1]) if form[0] not in ("space", "word_space") else form,
    lambda form: ("any",) if form[0] not in ("space", "word_space", "han", "column") else form,
)


def assignments(text: str, num_answers: int) -> list[Parts]:
    """Ways to cut a reply into `num_answers` answers by their numbers, best first; [] where none found any."""
    every = markers(text)
    heads = {one.start for one, other in pairwise(every) if other.inner and not one.inner}
    found: list[tuple[tuple[float, ...], Parts]] = []
    for level, same in enumerate(_LEVELS):
        for key in dict.fromkeys(same(marker.form) for marker in every):
            chosen = [marker for marker in every if same(marker.form) == key]
            taken, cost = _assigned(chosen, num_answers, heads)
            if not taken:
                continue
            weak = key[0] in ("space", "word_space")
            rank = (-len(taken), weak, taken[0].start, cost, level)
            found.append((rank, _parts(text, taken)))
    found.sort(key=lambda one: one[0])
    return [parts for _, parts in found]


def _parts(text: str, taken: Sequence[Marker]) -> Parts:
    ends = [marker.start for marker in taken[1:]] + [len(text)]
    column = _answer_column(text[: taken[0].start]) if taken[0].form[0] == "column" else None
    texts = {
        m.number: _cell(text[m.end : end], column)
        if m.form[0] == "column"
        else _undressed(text[m.start : m.end], text[m.end : end])
        for m, end in zip(taken, ends, strict=True)
    }
    return Parts(texts, text[: taken[0].start].strip(), tuple(taken))


def _answer_column(before: str) -> int | None:
    """Which cell of a table holds the answers, by its header; None where no header says so."""
    for line in before.splitlines():
        cells = [cell.strip(" *_").lower() for cell in line.strip().strip("|").split("|")]
        for index, cell in enumerate(cells):
            if index and re.search(r"answer|choice|option|答案|选项|回答", cell):
                return index - 1
    return None


def _cell(row: str, column: int | None) -> str:
    """The cell of a table row that holds its answer: by the header, else the last; the number is cut off."""
    cells = [cell.strip() for cell in row.strip().partition("\n")[0].rstrip("| ").split("|")]
    return cells[column] if column is not None and column < len(cells) else cells[-1]


def _undressed(marker: str, answer: str) -> str:
    """An answer without the emphasis that its number began ("**1. Paris**")."""
    answer = answer.strip()
    for mark in ("**", "__"):
        if marker.count(mark) == 1:
            head, shut, rest = answer.partition(mark)
            answer = head + rest if shut and "\n" not in head else answer
    return answer.strip()


MISSING, STRAY, SHORT, HEAD = 10.0, 1.0, 0.4, 0.3
"""What an answer without a number costs, a marker that is of no list, a list of one, and an item of a
list whose line goes on with another number, as an answer that begins with a list does.
"""
MAX_STATES = 60


class _State(NamedTuple):
    """The best way to a state: its cost, and the markers taken as answers' own, as a linked list."""

    cost: float
    taken: tuple


def _assigned(found: Sequence[Marker], num_answers: int, heads: set[int]) -> tuple[list[Marker], float]:
    """The markers that are the answers' own, and what that assignment costs.

    A state is (last answer's number, last number of the list that is open in it).
    """
    states: dict[tuple[int, int], _State] = {(0, 0): _State(0.0, ())}
    for marker in found:
        following: dict[tuple[int, int], _State] = {}

        def put(key: tuple[int, int], cost: float, taken: tuple, into: dict = following) -> None:
            if key not in into or cost < into[key].cost:
                into[key] = _State(cost, taken)

        for (answer, last), reached in states.items():
            number = marker.number
            state = reached
            ending = SHORT if last == 1 else 0.0
            if answer < number <= num_answers and not marker.inner:
                put(
                    (number, 0),
                    state.cost + ending + MISSING * (number - answer - 1),
                    (marker, state.taken),
                )
            if marker.start in heads:
                state = state._replace(cost=state.cost + HEAD)
            if number == last + 1 and last:
                put((answer, number), state.cost, state.taken)
            elif number == 1:
                # Before the first answer a list may be the questions, said again.
                put((answer, 1), state.cost + ending + (0.0 if answer else STRAY / 2), state.taken)
            elif not marker.inner:
                put((answer, last), state.cost + STRAY, state.taken)
            else:
                put((answer, last), state.cost, state.taken)
        best = sorted(following.items(), key=lambda item: item[1].cost)[:MAX_STATES]
        states = dict(best)
    (answer, last), best_state = min(
        states.items(),
        key=lambda item: (
            item[1].cost + MISSING * (num_answers - item[0][0]) + (SHORT if item[0][1] == 1 else 0)
        ),
    )
    taken: list[Marker] = []
    link = best_state.taken
    while link:
        taken.append(link[0])
        link = link[1]
    missing = num_answers - len(taken)
    return taken[::-1], best_state.cost + MISSING * missing


def inline(text: str, num_answers: int) -> Parts | None:
    """A reply cut at numbers inside of its lines ("1.B 2.C 3.A"), where all are there and grow by one."""
    for form, pattern in _INLINE.items():
        found = []
        wanted = 1
        for match in pattern.finditer(text):
            if value_of(match["n"] or match.groupdict().get("m") or "") == wanted:
                found.append(Marker(wanted, (form,), match.start(), match.end()))
                wanted += 1
        if len(found) == num_answers:
            parts = _parts(text, found)
            return parts._replace(
                texts={n: part.strip(" ,;，；、|*_`#") for n, part in parts.texts.items()}
            )
    return None


def later_blocks(text: str, parts: Parts, num_answers: int) -> list[Parts]:
    """Whole blocks of answers in the same notation behind where the last answer begins, last ones first.

    `before` is what stands between that answer's beginning and the block.
    """
    start, same = parts.markers[-1].start, _LEVELS[2]
    form = same(parts.markers[0].form)
    later = [m for m in markers(text) if m.start > start and not m.inner and same(m.form) == form]
    found = []
    for begin in reversed([m.start for m in later if m.number == 1][-5:]):
        run: list[Marker] = []
        for marker in later:
            if marker.start >= begin and marker.number == len(run) + 1:
                run.append(marker)
        if len(run) == num_answers:
            found.append(_parts(text, run)._replace(before=text[start:begin]))
    return found
