"""Letters of options in a gold, or in an answer that was read: letters and nothing else.

What a reply chooses is read in `branchwise.prompts.reading`, by a table of rules. Here only what is left
to compare is taken apart: "CA", "A, C", "(B).", and the same behind "the answer is".
"""

import re
import unicodedata

from branchwise.data.types import LETTERS

_LEAD = re.compile(
    r"^(?:(?:the\s+)?(?:correct\s+)?answers?\s*(?:is|are|:)?|(?:正确)?答案\s*(?:是|为|:)?)[\s:]*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[\s,;/&+、.。:()\[\]{}\"'*]+|\band\b|和|及|与", re.IGNORECASE)


def letters_in(text: str, num_options: int | None = None) -> str:
    """The letters of a text that holds nothing else, in order and once each ("AC"); "" where it does.

    `num_options` limits which letters can be meant; without it A to J can. A small letter counts only by
    itself.
    """
    allowed = LETTERS[: num_options or None]
    said = _LEAD.sub("", unicodedata.normalize("NFKC", text).strip())
    letters = _BETWEEN.sub("", said)
    if len(letters) == 1:
        letters = letters.upper()
    if not letters or not set(letters) <= set(allowed):
        return ""
    return "".join(sorted(set(letters)))
