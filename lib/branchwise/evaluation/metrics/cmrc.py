"""CMRC 2018's metrics (Cui et al., 2019): Chinese spans, compared character by character.

The authors' list of marks is dropped from both texts, in lower case. EM compares what is left. F1 is
that of the longest run of segments that both have, whole and in order: a Chinese character is a
segment, and what stands between such characters is cut by NLTK's word tokenizer. (The authors' script
also cuts it into sentences first, by a model that has to be downloaded; that tells only where a full
stop inside such a run ends a sentence.)
"""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import cache

from branchwise.evaluation.metrics.squad import contained

# Theirs, not Unicode's: the Western full stop and comma, quotation marks and "…" stay.
_DROPPED = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_PIECE = re.compile(r"[\u4e00-\u9fa5]|[^\u4e00-\u9fa5]+")
_CHINESE = re.compile(r"[\u4e00-\u9fa5]")


@cache
def _words_of():
    from nltk.tokenize import NLTKWordTokenizer

    return NLTKWordTokenizer().tokenize


def without_marks(text: str) -> str:
    """A text as EM compares it."""
    return "".join(char for char in text.lower().strip() if char not in _DROPPED)


def mixed_segments(text: str) -> list[str]:
    """The segments of a text, its marks dropped: Chinese characters, and words between them."""
    found: list[str] = []
    for piece in _PIECE.findall(without_marks(text)):
        found += [piece] if _CHINESE.match(piece) else _words_of()(piece)
    return found


def run_f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    """F1 of the longest run of segments that stands in both."""
    matcher = SequenceMatcher(None, predicted, wanted, autojunk=False)
    common = matcher.find_longest_match(0, len(predicted), 0, len(wanted)).size
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def cmrc_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`em`, `f1`, and `lenient` (one a run of the other's segments), each the best over the golds."""
    predicted = mixed_segments(prediction)
    wanted = [mixed_segments(gold) for gold in golds]
    exact = without_marks(prediction) in [without_marks(gold) for gold in golds]
    return {
        "em": float(exact),
        "f1": max(run_f1(predicted, gold) for gold in wanted),
        "lenient": max(contained(predicted, gold) for gold in wanted),
    }
