"""Outlined answers: how they are asked for and written, and reading their blocks.

An answer whose steps do not depend on each other is written as blocks, "####title: body", which end with
"####%%%%" and what follows from all of them (Yu, 2025, "Parallel Decoding within One Sequence"). The
words of the prompts are in outlining.yaml.
"""

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

from branchwise.data.types import Group, Question
from branchwise.prompts.rendering import Message, question_text, single
from branchwise.prompts.style import OutlineWords, PromptStyle, numbered
from branchwise.records import Record

MARK = "####"
"""Begins a block."""
END = "%%%%"
"""Behind a mark: no block begins, and the answer goes on."""
ELLIPSIS = "......"
"""Stands for the body where titles alone are wanted."""
DOTS = r"\s*[:：]?\s*(?:\.{2,}|…+)[.…]*\s*"
"""Tokens that an ellipsis may be of: where a body is wanted, none of them may come."""
COLONS = (":", "：")


class Words(Record):
    """What is asked in one language; see outlining.yaml."""

    format: str
    draft: str
    skeleton: str
    point: str
    gap: str


@cache
def _all_words() -> dict[str, Words]:
    text = files("branchwise.prompts").joinpath("outlining.yaml").read_text(encoding="utf-8")
    return {name: Words(**words) for name, words in yaml.safe_load(text).items()}


def words_of(style: PromptStyle) -> Words:
    """The words of a prompt style; those in English where it names none."""
    name: OutlineWords = style.outline or "en"
    return _all_words()[name]


def outlined(group: Group, question: Question, style: PromptStyle, draft: bool = False) -> list[Message]:
    """A prompt whose answer may be outlined, the same for all who answer it: the question, the data set's
    hint and the form; with `draft` as Chain-of-Draft asks (Xu et al., 2025): few words a step.
    """
    words = words_of(style)
    parts = (question_text(question), style.hint, words.format, words.draft if draft else "")
    return _asked(group, question, style, (words.gap or " ").join(part for part in parts if part))


def skeleton(group: Group, question: Question, style: PromptStyle) -> list[Message]:
    """Skeleton-of-Thought's first request (Ning et al., 2024): the points of an answer."""
    said = words_of(style).skeleton.format(question=_hinted(question, style))
    return _asked(group, question, style, said)


def point(
    group: Group, question: Question, style: PromptStyle, titles: list[str], number: int
) -> list[Message]:
    """Skeleton-of-Thought's second request: one point, `number` of `titles`, counted from one."""
    said = words_of(style).point.format(
        question=_hinted(question, style),
        titles=numbered(titles),
        number=number,
        title=titles[number - 1],
    )
    return _asked(group, question, style, said)


def _hinted(question: Question, style: PromptStyle) -> str:
    text = question_text(question)
    return f"{text}\n{style.hint}" if style.hint else text


def _asked(group: Group, question: Question, style: PromptStyle, text: str) -> list[Message]:
    # With its options, which stand under the question and not under all that is said of the form.
    return single(group, question.model_copy(update={"text": text, "options": ()}), style)


# No run of white space is looked at from each of its places: a model that goes round may say nothing
# else.
_POINT = re.compile(r"^[^\S\n]*+(?:[-*•]\s*+)?\d{1,3}\s*+[.):：、．]\s*+(\S.*)$", re.MULTILINE)


def points(text: str) -> list[str]:
    """The points of a numbered list, without their numbers and what is explained behind a colon."""
    heads = (re.split("[:：]", line, maxsplit=1)[0].strip() for line in _POINT.findall(text))
    found = (head.strip(" *\"'") for head in heads)
    return [title for title in found if title]


class Block(NamedTuple):
    """A part of an outlined answer; `colon` as it was written."""

    title: str
    body: str
    colon: str = ":"

    @property
    def head(self) -> str:
        """What its branch begins with."""
        return f"{MARK}{self.title}{self.colon}"

    def __str__(self) -> str:
        body = self.body.strip()
        return self.head + (f" {body}" if body else "")


class Outline(NamedTuple):
    """What was read from text behind a first mark: blocks up to the end marker, and whether that came."""

    blocks: list[Block]
    has_end: bool

    @property
    def is_titles(self) -> bool:
        """Whether no block has a body: what stands behind each colon is an ellipsis, or nothing."""
        return all(block.colon and not block.body.strip(_NO_BODY) for block in self.blocks)


_NO_BODY = " .…\n\t"


def read_outline(text: str) -> Outline:
    """The blocks of a text that begins behind a mark. What has no colon is all title."""
    before, end, _ = text.partition(END)
    pieces = before.split(MARK)
    if end and not pieces[-1].strip():
        # The mark that stands before the end marker.
        pieces.pop()
    blocks = []
    for piece in pieces:
        title, colon, body = _cut_at_colon(piece)
        blocks.append(Block(title.strip(), body, colon))
    return Outline(blocks, bool(end))


_COLON = re.compile(r"(?<!\d):|:(?!\d)|：")
"""One between two digits is part of a number or a time."""


def _cut_at_colon(text: str) -> tuple[str, str, str]:
    found = _COLON.search(text)
    if found is None:
        return text, "", ""
    return text[: found.start()], found[0], text[found.end() :]


INTRO = rf"[^#\n:：]*(?:{MARK}|[:：\n])"
"""What a model may say before its titles where the form is enforced: text up to a mark, a colon or the
end of a line; it cannot end its turn before."""


def title_pattern(first: bool) -> str:
    """What a model may say behind a mark: a title of up to six words and its colon, or, but for the first
    time, the end marker. A word is up to 24 characters, as titles in scripts without spaces may be.
    """
    title = r" ?[^\s#%:：][^\s#:：]{0,23}(?: [^\s#:：]{1,24}){0,5}[:：]"
    return title if first else f"(?:{title}| ?{END})"
