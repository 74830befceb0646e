"""Where a model goes on after its answer, with questions or passages that it makes up: what is its own.

Completion models continue the page: under "Paris" they write "Question: What is the capital of Spain?" and
"Answer: Madrid". The first answer counts; what follows is nobody's.
"""

# ruff: noqa: E501 (patterns read better on one line)

import re
from itertools import islice

from branchwise.data.types import Question

_DRESS = r"^[ \t>*_#]*"
_END = r"[*_]*[ \t]*(?:\d{1,3}[*_]*[ \t]*)?[:：]"
_QUESTION = re.compile(
    rf"{_DRESS}(?P<label>(?:next |new |another )?question|Q|问题|问|题目){_END}[*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_PASSAGE = re.compile(
    rf"{_DRESS}(?:text|passage|context|document|questions|文章|原文|材料){_END}",
    re.IGNORECASE | re.MULTILINE,
)
_SPEAKER = re.compile(rf"{_DRESS}(?:human|user|用户){_END}", re.IGNORECASE | re.MULTILINE)
_ANSWER = re.compile(
    rf"{_DRESS}(?:final )?(?:answer|ans|A|答案|答|回答){_END}", re.IGNORECASE | re.MULTILINE
)
_ANY = re.compile(
    "|".join(f"(?:{pattern.pattern})" for pattern in (_PASSAGE, _SPEAKER)) + f"|(?:{_QUESTION.pattern})",
    re.IGNORECASE | re.MULTILINE,
)


MAX_LABELS = 50
"""Of a reply this many labels are looked at."""


def own_part(text: str, question: Question) -> str:
    """A reply up to where it goes on with something that was not asked; the whole where it does not.

    A reply may begin with a label, and may say its own question again. Free text is only cut where a
    question comes with its answer.
    """
    for match in islice(_ANY.finditer(text), MAX_LABELS):
        before, behind = text[: match.start()], text[match.end() :]
        if not _answers(before) or (match["label"] and _is_asked(behind, question)):
            continue
        answered = _ANSWER.search(behind) is not None
        if question.answer == "text" and not (answered and match["label"]):
            continue
        if _PASSAGE.match(match.group()) and answered and not _QUESTION.search(behind):
            continue  # the text is quoted, and the answer follows
        return before.rstrip()
    return text


def _answers(before: str) -> bool:
    """Whether something stands there that may be an answer: more than labels, and no announcement."""
    lines = [line for line in before.splitlines() if line.strip() and not _ANY.match(line)]
    return bool(lines) and not lines[-1].rstrip(" *_").endswith((":", "："))


def _is_asked(behind: str, question: Question) -> bool:
    behind = behind[: 2 * len(question.text) + 40]
    wanted, said = (
        "".join(char for char in text.casefold() if char.isalnum()) for text in (question.text, behind)
    )
    return len(wanted) > 3 and said.startswith(wanted)


def own_blocks(text: str) -> list[str]:
    """Beginnings of a reply to many questions, each up to a line that begins a further passage or list of
    questions; the shortest first.
    """
    starts = sorted(m.start() for pattern in (_PASSAGE, _SPEAKER) for m in pattern.finditer(text))
    return [part for start in starts[:MAX_LABELS] if (part := text[:start].rstrip()) and _answers(part)]
