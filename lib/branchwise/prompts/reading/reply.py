"""What of a reply is its answer: no thought, the last answer tag, the value of a JSON object, plain text.

All of it is by stated rules. A thought is what stands before the last closing tag, or, where nothing
follows that tag, what stands between tags. A mention of the answer tags is no answer.
"""

import ast
import json
import re
import unicodedata
from typing import Any, NamedTuple

_WRAPPED = r"(?:seed:)?think(?:ing)?"
_OPENS = re.compile(rf"<{_WRAPPED}>|\[THINK\]", re.IGNORECASE)
_CLOSES = re.compile(rf"</{_WRAPPED}>|\[/THINK\]", re.IGNORECASE)
_EITHER = re.compile(rf"{_OPENS.pattern}|{_CLOSES.pattern}", re.IGNORECASE)


_EMPTY = re.compile(r"\s{16,}")
"""White space that says nothing: a model that goes round may end in thousands of line ends, and patterns
look at every run of it from each of its places."""


def without_thought(text: str, parts: bool = False) -> str:
    """The reply without its thoughts, stripped, and with long runs of white space made short.

    What stands before the last closing tag is thought: a template may have opened it, so that the reply
    holds no opening tag. Where nothing follows that tag, what stands outside of tags is the answer. A
    thought that never ends leaves nothing behind its beginning. With `parts`, of a reply with many
    answers, thoughts between them are taken out where every tag has its partner.
    """
    text = _EMPTY.sub(lambda run: "\n\n" if "\n" in run.group() else " ", text)
    outside, is_paired = _outside(text)
    closes = list(_CLOSES.finditer(text))
    if not closes or (parts and is_paired):
        return outside
    behind = text[closes[-1].end() :]
    if opened := _OPENS.search(behind):
        behind = behind[: opened.start()]
    return behind.strip() or outside


def _outside(text: str) -> tuple[str, bool]:
    """What stands outside of thoughts, and whether every tag has its partner."""
    kept: list[str] = []
    depth, start, is_paired = 0, 0, True
    for tag in _EITHER.finditer(text):
        if depth == 0:
            kept.append(text[start : tag.start()])
        if _OPENS.fullmatch(tag.group()):
            depth += 1
        elif depth:
            depth -= 1
        else:
            kept, is_paired = [], False
        start = tag.end()
    if depth == 0:
        kept.append(text[start:])
    return "".join(kept).strip(), is_paired and depth == 0


class Tagged(NamedTuple):
    """What stands in an answer tag, and whether that tag is closed."""

    inside: str
    closed: bool


_OPEN_TAG = re.compile(r"<\s*answer\s*>", re.IGNORECASE)
_CLOSE_TAG = re.compile(r"<\s*/\s*answer\s*>", re.IGNORECASE)
_TAGS = re.compile(rf"({_OPEN_TAG.pattern})|{_CLOSE_TAG.pattern}", re.IGNORECASE)
_NOTHING = re.compile(
    r"[\W_]*(?:and|or|to|&|和|与|、|到|(?:your|the|my|final|你的|您的|答案|最终|\s)*(?:answer|here|答案|这里|\s)*)?[\W_]*",
    re.IGNORECASE,
)
_MENTION = re.compile(r"[`\"'”’*]|\s*(?:tags?\b|element|标签|标记|and\b)", re.IGNORECASE)


def tags(text: str) -> list[Tagged]:
    """The answers in tags, in order. A tag that only names itself ("between <answer> and </answer>"),
    or holds a place ("<answer>...</answer>"), is none; the last may never have been closed.
    """
    found: list[Tagged] = []
    opened: re.Match[str] | None = None
    for tag in _TAGS.finditer(text):
        if tag.group(1):
            opened = tag
        elif opened is not None:
            inside = text[opened.end() : tag.start()].strip()
            if not inside or not _NOTHING.fullmatch(inside) or re.fullmatch(r"[^\w]*\d+[^\w]*", inside):
                found.append(Tagged(inside, True))
            opened = None
    if opened is not None and not _MENTION.match(text, opened.end()):
        inside = re.sub(r"<\s*/?[answer\s]*$", "", text[opened.end() :]).strip()
        found.append(Tagged(inside, False))
    return found


_KEYS = re.compile(
    r"(?:(?:the|final|correct|my|right|selected|chosen|predicted|best)[ _-]?)*"
    r"(?:answers?|choices?|options?|letters?|selection|result|response|prediction|output|value|solution)"
    r"|(?:最终|正确)?(?:答案|选项|选择|回答|结果)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"```[\w-]*\s*\n?(.*?)```", re.DOTALL)
MAX_JSON_CHARS = 50_000


def json_values(text: str) -> list[Any]:
    """The JSON values of a reply: the whole, what code fences hold, its last line, its last object."""
    if not re.search(r"[{\[]", text):
        return []
    candidates = [text, *reversed(_FENCE.findall(text)), text.rstrip().rpartition("\n")[2]]
    if len(text) <= MAX_JSON_CHARS:
        candidates += reversed(re.findall(r"\{[^{}]*\}", text))
    found = []
    for candidate in candidates:
        value = _value(candidate)
        if isinstance(value, dict | list):
            found.append(value)
    return found


MAX_LITERAL_CHARS = 2_000


def _value(text: str) -> Any:
    """The value of JSON, or of an object in single quotes, as Python has it; None where it is neither."""
    try:
        return json.loads(text, strict=False)  # a line break in a string is no reason to lose it
    except (ValueError, RecursionError):
        pass
    text = text.strip()
    if not text.startswith("{'") or len(text) > MAX_LITERAL_CHARS:
        return None
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def answer_of(value: Any) -> str | None:
    """The answer that a JSON object gives under a key such as "answer"; None where it gives none."""
    if not isinstance(value, dict):
        return None
    keys = [key for key in value if _KEYS.fullmatch(str(key).strip())]
    first = [key for key in keys if "answer" in str(key).lower() or "答案" in str(key)]
    for key in first or keys:
        if (said := as_text(value[key])) is not None:
            return said
    return None


def as_text(value: Any) -> str | None:
    """A JSON value as the text of an answer: lists by commas; None for what is no answer."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, int | float):
        return json.dumps(value)
    if isinstance(value, list):
        parts = [as_text(item) for item in value]
        return ", ".join(part for part in parts if part) if None not in parts else None
    return answer_of(value)


_TRADITIONAL = dict(
    zip(
        "選項確為應對錯擇綜題該這個僅與無誤論總結",
        "选项确为应对错择综题该这个仅与无误论总结",
        strict=True,
    )
)
_ALIKE = str.maketrans(
    {
        **_TRADITIONAL,
        **dict.fromkeys("“”„«»「」『』", '"'),
        **dict.fromkeys("‘’´", "'"),
        **dict.fromkeys("【〔〖", "["),
        **dict.fromkeys("】〕〗", "]"),
        **dict.fromkeys("\u200b\u200c\u200d\ufeff\u2060", None),
        "\u2212": "-",
    }
)
_STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|bf|rm|mbox|operatorname)\s*\{([^{}]*)\}"
)
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{([^{}]*)\}")
_LATEX = re.compile(r"\\[()\[\],;! ]|\\(?=[%$&#_])|(?<!\\)\$(?!\d)|(?<=\d)\$")
_HTML = re.compile(r"</?(?:b|i|u|em|strong|p|br|span|code|mark|li|ul|ol)\s*/?>", re.IGNORECASE)
BOX_OPENS, BOX_CLOSES = "⟦", "⟧"


def plain(text: str) -> str:
    """Text without its dress, for recognising what it says: full-width forms, quotes and traditional
    characters made one, Markdown, LaTeX and HTML taken off, a LaTeX box put in ⟦⟧. Lines stay lines.
    """
    text = unicodedata.normalize("NFKC", text).translate(_ALIKE)
    if "\\" in text:
        for _ in range(3):
            text = _STYLED.sub(r"\1", text)
        text = _BOXED.sub(rf"{BOX_OPENS}\1{BOX_CLOSES}", text)
    text = _HTML.sub("", _LATEX.sub("", text))
    lines = [_line(line) for line in text.splitlines()]
    return "\n".join(lines).strip()


def _line(line: str) -> str:
    """A line without marks of headings, quotes, bullets and emphasis, with single spaces."""
    line = re.sub(r"^\s*(?:#{1,6}\s+|>\s*)+", "", line)
    line = re.sub(r"^\s*(?:[-*+•·◦▪]\s+)+", "", line)
    line = re.sub(r"\*+|`+|~~|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)", "", line)
    return re.sub(r"[ \t\xa0\u3000]+", " ", line).strip()
