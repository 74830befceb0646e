"""How a judge's reply is read. What is not plainly a grade is a missing verdict, never a middle one.

The last verdict of a reply counts: an example may stand before it, and a correction after it.

| in the reply | is read as |
|---|---|
| thoughts up to `</think>`, and from a `<think>` without end | nothing |
| JSON, and what `near_json` reads as such | objects |
| what is not, or is cut off, and names a grade | no verdict, whatever stands before |
| an object with all grades of the rubric, keys in any case | a verdict |
| such an object inside of others, or in a list | a verdict, unless one around it is |
| grades in several objects of one value, or one after another | one verdict |
| different verdicts inside one object | the last, if its key says so (`_DECIDES`), else none |
| what stands under a key that begins with example | nothing |
| different verdicts in one list | no verdict |
| some of the grades after a verdict | nothing if they are the same, else no verdict |
| a line `Score: 4`, `**Final score:** 4/5 - good` | that grade |
| nothing but `4`, `4/5` or `4 out of 5`, for one score | that grade |

| a value | is read as |
|---|---|
| 4, 4.0, "4", "4/5", "4 out of 5", "Score: 4", "4 stars" | 4 |
| "4: good", "4 (small faults)", "4. It ..." | 4: words after a mark do not count |
| {"score": 4, "reason": ...}, one of score, grade, rating, value | 4, and a reason |
| 6, 0, 3.5, "8/10", "4-5", "4 or 5", "1 to 5", "four", true, null, a list | no verdict |
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from branchwise.evaluation.near_json import BROKEN, values_of

Rubric = Literal["four", "single"]

GRADES: dict[Rubric, dict[str, str]] = {
    "four": {
        "fluency": "Is it well written: grammatical, coherent, easy to follow?",
        "relevance": "Does it answer what was asked, and nothing beside it?",
        "completeness": "Does it hold every point of the reference that the question calls for?",
        "proficiency": "Is it correct and precise as an expert of the field would put it?",
    },
    "single": {"score": "Taken together: is it accurate, useful and clear, measured by the reference?"},
}
"""Rubric -> grade -> what it asks. Each grade is a whole number from 1 (poor) to 5 (excellent)."""

_NO_GRADE = "a grade that is no whole number from 1 to 5"
_DECIDES = re.compile(r"verdict|final|correct|revis|overall")
_REASONS = ("reasons", "reason", "explanation")
_VALUES = ("score", "grade", "rating", "value")


class Reading(NamedTuple):
    """A reply as read."""

    grades: dict[str, int] | None
    reasons: str
    problem: str | None


class _Said(NamedTuple):
    """What one place of a reply says: some or all grades (None: one that is none), or why nothing."""

    grades: dict[str, int | None]
    reasons: str = ""
    problem: str | None = None


def read_verdict(text: str, rubric: Rubric) -> Reading:
    """Grades of a reply, by the rules of this module."""
    text = re.sub(r"\A.*</think>|<think>.*\Z", "", text, flags=re.DOTALL).strip()
    if not text:
        return Reading(None, "", "empty reply")
    names = list(GRADES[rubric])
    said: _Said | None = None
    for later in _places(text, names):
        said = later if said is None else _revised(said, later, names)
    bare = _number(text, explained=False)
    if said is None and rubric == "single" and bare is not None:
        said = _Said({"score": bare})
    if said is None:
        return Reading(None, "", "no verdict")
    if said.problem:
        return Reading(None, "", said.problem)
    grades = {name: grade for name in names if (grade := said.grades.get(name)) is not None}
    if None in said.grades.values():
        return Reading(None, "", _NO_GRADE)
    if len(grades) < len(names):
        return Reading(None, "", f"lacks {', '.join(name for name in names if name not in grades)}")
    return Reading(grades, said.reasons, None)


def _revised(said: _Said, later: _Said, names: Sequence[str]) -> _Said:
    """What holds of two things said one after the other."""
    if later.problem or len(later.grades) == len(names):
        return later
    if said.problem:
        return said
    if len(said.grades) < len(names):
        return _Said(said.grades | later.grades, said.reasons or later.reasons)
    same = all(said.grades[name] == grade for name, grade in later.grades.items())
    return said if same else _Said({}, problem="a later part that differs from the verdict")


def _places(text: str, names: Sequence[str]) -> Iterator[_Said]:
    """All that is said of grades, from the first word to the last: by values, and by lines between."""
    at = 0
    for start, end, value in values_of(text, names):
        yield from _lines(text[at:start], names)
        said = _of_value(value, names)
        if said is not None:
            yield said
        at = end
    yield from _lines(text[at:], names)


def _lines(text: str, names: Sequence[str]) -> Iterator[_Said]:
    """The grades of lines such as "Score: 4", all together."""
    line = re.compile(
        rf"^(?:[^\w\n]|_)*(?:[^\W_]+[ :*_]+){{0,3}}?({'|'.join(names)})(?![^\W_])"
        r"(?:[^\w\n:=(]|_)*(?:\([^)\n]*\)(?:[^\w\n:=]|_)*)?"
        r"(?:[:=]|\bis\b)[ \t*_`\"']*?(-?\d[^\n]*)$",
        re.IGNORECASE | re.MULTILINE,
    )
    grades = {name.lower(): _number(value, explained=True) for name, value in line.findall(text)}
    if grades:
        yield _Said(grades)


def _of_value(value: Any, names: Sequence[str]) -> _Said | None:
    """What a value says of the grades; None where it names none of them."""
    if value is BROKEN:
        return _Said({}, problem="broken or cut off JSON")
    if isinstance(value, list):
        return _together([("", said) for item in value if (said := _of_value(item, names))], names)
    if not isinstance(value, dict):
        return None
    content = {str(key).strip(" *_`“”‘’").casefold(): item for key, item in value.items()}
    reasons = _reasons(content, names)
    if any(name in content for name in names):
        return _Said({name: _grade(content[name]) for name in names if name in content}, reasons)
    inside = [
        (key, said)
        for key, item in content.items()
        if not key.startswith("example") and (said := _of_value(item, names))
    ]
    found = _together(inside, names)
    return found and found._replace(reasons=found.reasons or reasons)


def _together(inside: Sequence[tuple[str, _Said]], names: Sequence[str]) -> _Said | None:
    """What several parts of one value say, which are no sequence of corrections."""
    if not inside:
        return None
    key, last = inside[-1]
    if _DECIDES.search(key) or all(
        (said.grades, said.problem) == (last.grades, last.problem) for _, said in inside
    ):
        return last
    named = [name for _, said in inside for name in said.grades]
    if len(set(named)) < len(named) or any(said.problem for _, said in inside):
        return _Said({}, problem="several verdicts in one value")
    grades = {name: grade for _, said in inside for name, grade in said.grades.items()}
    return _Said(grades, "; ".join(said.reasons for _, said in inside if said.reasons))


def _reasons(content: dict[str, Any], names: Sequence[str]) -> str:
    """The reasons that an object gives, or those beside its grades."""
    own = next((content[key] for key in _REASONS if isinstance(content.get(key), str)), "")
    beside = (
        f"{name}: {content[name][key]}"
        for name in names
        if isinstance(content.get(name), dict)
        for key in _REASONS
        if key in content[name]
    )
    return own or "; ".join(beside)


def _grade(value: Any) -> int | None:
    """A grade by the table of values; None where a value is none."""
    if isinstance(value, dict):
        given = [item for key, item in value.items() if str(key).strip().casefold() in _VALUES]
        return _grade(given[0]) if len(given) == 1 and not isinstance(given[0], dict) else None
    if isinstance(value, str):
        return _number(value, explained=True)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 5:
        return None
    return int(value) if value == int(value) else None


_GRADE = (
    r"""[\s"'“”*_`]*(?:(?:score|grade|rating)\s*[:=]\s*)?([1-5])(?:\.0+)?"""
    r"""(?:[\s*_`]*(?:/|out of|of)[\s*_`]*5(?:\.0+)?)?(?:\s*(?:points?|stars?))?[\s"'“”*_`]*"""
)
_EXPLAINED = r"(?:[.,;:(–—-]+\s*[^\W\d].*)?"


def _number(text: str, explained: bool) -> int | None:
    """A grade in words such as "4 out of 5"; `explained`: words may follow after a mark."""
    pattern = _GRADE + (_EXPLAINED if explained else "") + r"[.,;:!]?\s*"
    found = re.fullmatch(pattern, unicodedata.normalize("NFKC", text), re.IGNORECASE | re.DOTALL)
    return int(found[1]) if found else None
