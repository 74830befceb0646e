"""The table of rules by which one reply is cut into the answers to many questions, and its reader.

Each part is then read by the rules for one answer. The row's rule names both ("numbered + letters").
"""

# ruff: noqa: E501, SIM102 (patterns read better on one line, and nested conditions one by one)

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from branchwise.data.style import AnswerFormat
from branchwise.data.types import Question
from branchwise.prompts.reading.going_on import own_blocks
from branchwise.prompts.reading.json_form import is_json_list, some_answers
from branchwise.prompts.reading.numbering import Parts, assignments, inline, later_blocks, markers
from branchwise.prompts.reading.one import CONTINUED, read_one, read_part
from branchwise.prompts.reading.reply import answer_of, as_text, json_values, tags, without_thought
from branchwise.prompts.reading.result import Reading

Questions = Sequence[Question]


class Cut(NamedTuple):
    """A reply cut into its answers: their texts by number, and whether that is the form asked for."""

    texts: dict[int, str]
    is_form: bool = False


class CutRule(NamedTuple):
    """One way in which a reply gives many answers: its name, what it recognises, and what cuts it."""

    name: str
    recognises: str
    cut: Callable[[str, Questions], Cut | None]


def by_json(text: str, questions: Questions) -> Cut | None:
    """A list of as many answers, or an object with a key for every question."""
    wanted = len(questions)
    for value in json_values(text):
        said = _json_answers(value, wanted)
        if said is not None:
            return Cut(said)
    lines = [
        value
        for line in text.splitlines()
        if line.strip().startswith("{")
        for value in json_values(line)[:1]
    ]
    return Cut(said) if len(lines) == wanted and (said := _json_answers(lines, wanted)) else None


def by_some_json(text: str, questions: Questions) -> Cut | None:
    """Objects with an id each, of a list that is not whole: what it lacks is empty."""
    if not re.match(r"[\[{]", text):
        return None
    said = some_answers(text, len(questions))
    return Cut(said) if said else None


def _json_answers(value: Any, wanted: int) -> dict[int, str] | None:
    if isinstance(value, dict):
        by_key = {_number_of(key): one for key, one in value.items()}
        if None not in by_key and set(by_key) <= set(range(1, wanted + 1)):
            texts = {number: as_text(one) for number, one in by_key.items()}
            return {n: text for n, text in texts.items() if n is not None and text}
        lists = [one for one in value.values() if isinstance(one, list | dict)]
        return _json_answers(lists[0], wanted) if len(lists) == 1 else None
    if not isinstance(value, list):
        return None
    numbers = [_number_of(_label(item)) for item in value]
    if value and all(isinstance(item, dict) for item in value) and None not in numbers:
        if len(set(numbers)) == len(numbers) and set(numbers) <= set(range(1, wanted + 1)):
            texts = {number: answer_of(item) for number, item in zip(numbers, value, strict=True)}
            return {n: text for n, text in texts.items() if n is not None and text}
    if len(value) != wanted:
        return None
    if all(isinstance(item, dict) and len(item) == 1 for item in value) and answer_of(value[0]) is None:
        value = [next(iter(item.values())) for item in value]
    texts_by = {number: as_text(item) for number, item in enumerate(value, start=1)}
    return {n: text for n, text in texts_by.items() if text} if any(texts_by.values()) else None


def _label(item: Any) -> Any:
    """What an object says of its place: its first value under a key such as "question" or "id"."""
    if not isinstance(item, dict):
        return None
    keys = re.compile(
        r"q|no\.?|n|id|index|number|num|item|question(?:[ _]?(?:id|no|number|num|index))?|题号|编号|序号|问题",
        re.IGNORECASE,
    )
    return next((value for key, value in item.items() if keys.fullmatch(str(key))), None)


def _number_of(key: Any) -> int | None:
    match = re.fullmatch(
        r"\s*(?:[a-z_ ]*|第|问题|答案|题)[ _\-#.]*(\d{1,3})\s*[.:)题]?\s*", str(key), re.IGNORECASE
    )
    return int(match.group(1)) if match and not isinstance(key, bool) else None


_HEADER = re.compile(
    r"(?:^|\n)[^\n]{0,80}(?:answers?|final|summary|corrected|revised|conclusion|答案|最终|总结|综上|汇总|更正|修正)[^\n]{0,40}\n\s*$",
    re.IGNORECASE,
)


def by_numbers(text: str, questions: Questions) -> Cut | None:
    """By the numbers before lines, where every answer has one."""
    return _by_numbers(text, questions, whole=True)


def by_some_numbers(text: str, questions: Questions) -> Cut | None:
    """By the numbers before lines, where some answers have none: these are empty."""
    return _by_numbers(text, questions, whole=False)


def _by_numbers(text: str, questions: Questions, whole: bool) -> Cut | None:
    wanted = len(questions)
    found = [parts for parts in assignments(text, wanted) if (len(parts.texts) == wanted) == whole]
    if not found:
        return None
    blocks = (
        [block for parts in found[:2] for block in later_blocks(text, parts, wanted)]
        if whole and wanted > 1
        else []
    )
    told = [(_told(parts.texts, questions), parts) for parts in [*found, *blocks]]
    most = max(len(texts) for texts, _ in told)
    full = [(texts, parts) for texts, parts in told if len(texts) == most]
    later = [one for one in full if one[1] in blocks and _is_last_word(*one, questions)]
    texts, parts = (later or full)[0]
    if not whole and not texts:
        return None
    is_form = not parts.before and parts not in blocks and _is_plain(parts)
    return Cut(*_trimmed(texts, questions, is_form))


def _is_plain(parts: Parts) -> bool:
    """Whether every number is written as asked: "1. ", "1) " or "1: " at the beginning of a line."""
    return all(
        m.form[:2] == ("plain", "") and m.form[2] in ".):" and not any(m.form[3:6]) for m in parts.markers
    )


def _is_last_word(texts: dict[int, str], parts: Parts, questions: Questions) -> bool:
    """Whether a later block is the answers again, and not a list inside of the last one."""
    if _HEADER.search(parts.before):
        return True
    if any(question.answer == "text" for question in questions):
        return False
    return re.search(r"\n\s*\n\s*$", parts.before) is not None and all(
        read_part(texts.get(n, ""), question, "line").answer
        for n, question in enumerate(questions, start=1)
    )


def _trimmed(texts: dict[int, str], questions: Questions, is_form: bool) -> tuple[dict[int, str], bool]:
    """The texts, the last one ended where a list goes on beyond the questions, and at a blank line where
    every other is one line: what follows is said of all. Free text stays whole.
    """
    last = max(texts, default=0)
    if last == len(questions) and questions[last - 1].answer != "text":
        beyond = next((m for m in markers(texts[last]) if m.number == last + 1 and m.start), None)
        if beyond is not None:
            texts, is_form = {**texts, last: texts[last][: beyond.start].rstrip()}, False
    if not last or questions[last - 1].answer in ("text", "choice") or len(texts) < 2:
        return texts, is_form
    if any("\n" in text for n, text in texts.items() if n != last):
        return texts, is_form
    kept, blank, _ = re.match(r"(.*?)(\n\s*\n|\Z)(.*)", texts[last], re.DOTALL).groups()  # type: ignore[union-attr]
    return {**texts, last: kept.strip()}, is_form and not blank


def _told(texts: dict[int, str], questions: Questions) -> dict[int, str]:
    """The answers without questions said again before them, and without those that are nothing else."""
    told = {number: without_question(text, questions[number - 1]) for number, text in texts.items()}
    return {number: text for number, text in told.items() if text}


_ANSWER_LABEL = re.compile(
    r"^[\s*_>#\-–—:?？]*(?:answer|ans|a|答案|答|回答)\s*\d{0,3}\s*[*_]*\s*[:：.．][\s*_]*", re.IGNORECASE
)


def without_question(text: str, question: Question) -> str:
    """An answer without its question said again before it."""
    wanted = [char for char in question.text.casefold() if char.isalnum()]
    place = count = 0
    head = re.match(r"[\s*_\"'#>\-]*(?:(?:the )?question|问题|q)?\s*[:：]?\s*", text, re.IGNORECASE)
    place = (
        head.end() if head and wanted and text[head.end() : head.end() + 1].casefold() == wanted[0] else 0
    )
    while count < len(wanted) and place < len(text):
        char = text[place].casefold()
        if char.isalnum():
            if char != wanted[count]:
                return text
            count += 1
        place += 1
    if count < len(wanted) or len(wanted) < 4:
        return text
    rest = re.sub(r"^[\s*_\"'”’?？.。:：!)）>\-–—]+(?=\S|$)", "", text[place:])
    return _ANSWER_LABEL.sub("", rest).strip()


def by_inner_numbers(text: str, questions: Questions) -> Cut | None:
    """By numbers inside of lines: "1.B 2.C 3.A"."""
    if len(questions) < 2 or ("\n" in text and any(question.answer == "text" for question in questions)):
        return None
    parts = inline(text, len(questions))
    return Cut(parts.texts) if parts else None


def by_tags(text: str, questions: Questions) -> Cut | None:
    """By as many answer tags as there are questions."""
    found = tags(text)
    if len(found) != len(questions):
        return None
    return Cut({number: tag.inside for number, tag in enumerate(found, start=1)})


def by_lines(text: str, questions: Questions) -> Cut | None:
    """By lines, where there are as many (but for a header) as questions."""
    return _in_order([line.strip() for line in text.splitlines()], questions)


def by_paragraphs(text: str, questions: Questions) -> Cut | None:
    """By paragraphs, where there are as many (but for a header) as questions."""
    return _in_order([part.strip() for part in re.split(r"\n\s*\n", text)], questions)


def _in_order(parts: list[str], questions: Questions) -> Cut | None:
    kept = [part for part in parts if part]
    if len(kept) == len(questions) + 1 and re.fullmatch(r".{0,80}[:：][\s*_]*", kept[0]):
        kept = kept[1:]
    if len(kept) != len(questions):
        return None
    shorn = [re.sub(r"^(?:[-+•·]|\*(?!\*))\s+", "", part) for part in kept]
    return Cut(_told(dict(enumerate(shorn, start=1)), questions))


def by_letters(text: str, questions: Questions) -> Cut | None:
    """By single letters in a row, one a question: "B, C, A" or "BCA"; choices only."""
    if any(question.answer != "choice" for question in questions) or len(questions) < 2:
        return None
    said = re.sub(r"^[^:：\n]{0,60}[:：]\s*", "", text.strip())
    letters = re.sub(r"[\s,;，；、.。()（）*\[\]\"']+", "", said)
    if len(letters) != len(questions) or not re.fullmatch(r"[A-Ja-j]+", letters):
        return None
    return Cut(dict(enumerate(letters.upper(), start=1)))


CUT_RULES = (
    CutRule(
        "json_many", 'JSON: a list of answers, or an object by number: {"1": "B", "2": "A"}', by_json
    ),
    CutRule(
        "json_some",
        'JSON that is not whole: objects with an id each, [{"id": 1, "answer": "B"}, {"id": 2, "ans',
        by_some_json,
    ),
    CutRule("tags", "as many answer tags as questions, and no number before each", by_tags),
    CutRule(
        "numbered", 'a number before every answer: "1.", "(1)", "**1.**", "Q1:", "①", "| 1 |"', by_numbers
    ),
    CutRule("numbered_inside", 'numbers inside of lines: "1.B 2.C 3.A"', by_inner_numbers),
    CutRule("numbered_some", "a number before some answers; the others are empty", by_some_numbers),
    CutRule("by_lines", "no number, and as many lines as questions", by_lines),
    CutRule("by_paragraphs", "no number, and as many paragraphs as questions", by_paragraphs),
    CutRule("by_letters", 'letters in a row, one a question: "B, C, A"', by_letters),
)
"""In order: the first rule that cuts the reply counts."""


def read_many(text: str, questions: Questions, answer_format: AnswerFormat) -> list[Reading]:
    """The answers to all questions of a prompt, by their numbers; a missing one is empty.

    One question without a number has the whole reply; one of a free text has it always, since numbers in
    that are its own.
    """
    is_free = answer_format == "free"
    if is_free and len(questions) == 1 and questions[0].answer == "text":
        return [read_one(text, questions[0], answer_format)]
    text = without_thought(text, parts=True)
    cut, name = _cut_of_own(text, questions)
    if cut is None:
        if len(questions) == 1:
            reading = read_one(text, questions[0], answer_format)
            return [reading._replace(well_formed=is_free and reading.well_formed)]
        return [Reading("", False) for _ in questions]
    # Of JSON the whole list is the form, and what stands in it is plain.
    is_form = is_json_list(text, len(questions)) if answer_format == "json" else cut.is_form
    readings = []
    for number, question in enumerate(questions, start=1):
        part = cut.texts.get(number, "")
        reading = read_part(part, question, "line" if answer_format == "json" else answer_format)
        well_formed = is_free or (is_form and (reading.well_formed or answer_format == "json"))
        rule = f"{name} + {reading.rule}" if reading.rule else ""
        readings.append(Reading(reading.answer, well_formed and bool(reading.answer), rule))
    return readings


def _cut_of_own(text: str, questions: Questions) -> tuple[Cut | None, str]:
    """The cut of a reply, or of its beginning where that holds all answers and a further passage, or
    further questions, come behind it.
    """
    for block in own_blocks(text):
        cut, name = _cut(block, questions)
        if cut is not None and all(cut.texts.get(n) for n in range(1, len(questions) + 1)):
            return Cut(cut.texts), f"{CONTINUED.name} + {name}"
    return _cut(text, questions)


def _cut(text: str, questions: Questions) -> tuple[Cut | None, str]:
    for rule in CUT_RULES:
        if len(questions) == 1 and rule.name not in ("numbered", "json_many", "json_some"):
            continue
        cut = rule.cut(text, questions)
        if cut is None:
            continue
        if rule.cut is by_tags:
            numbered = by_numbers(text, questions)
            if (
                numbered
                and all(tags(part) for part in numbered.texts.values())
                and len(numbered.texts) == len(questions)
            ):
                continue
        return cut, rule.name
    return None, ""
