"""SQuAD's metrics: those of the official script, version 1.1 (Rajpurkar et al., 2016), in English.

Lower-cased, punctuation and articles removed, white space collapsed; the best over all golds. In any
other language the texts are compared by `segments`, which says how. These are also the metrics of
every set whose authors published none. That an empty answer is never right is not the metric's rule
but that of the whole project; `score.py` sees to it.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

from branchwise.evaluation.metrics.segments import segments

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def without_articles(text: str) -> str:
    """The words of a lower-case text but a, an and the, with single spaces between them."""
    return " ".join(_ARTICLES.sub(" ", text).split())


def normalize(text: str) -> str:
    """SQuAD's normalisation of an answer in English."""
    text = "".join(char for char in text.lower() if char not in _PUNCTUATION)
    return without_articles(text)


def tokens(text: str, language: str = "en") -> list[str]:
    """What is compared of a text: SQuAD's words in English, else `segments`."""
    return normalize(text).split() if language == "en" else segments(text, language)


def stands_in(wanted: Sequence[str], said: Sequence[str]) -> bool:
    """Whether `wanted`, if it is anything, is a run of `said`."""
    length = len(wanted)
    return bool(wanted) and any(
        said[start : start + length] == wanted for start in range(len(said) - length + 1)
    )


def contained(one: Sequence[str], other: Sequence[str]) -> float:
    """1 where one of two lists of tokens is a run of the other, both not empty."""
    return float(stands_in(one, other) or stands_in(other, one))


def bag_f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over two lists of tokens, as bags."""
    common = sum((Counter(predicted) & Counter(wanted)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def exact_match(prediction: str, gold: str) -> float:
    """1 where both are the same after normalisation."""
    return float(tokens(prediction) == tokens(gold))


def f1(prediction: str, gold: str) -> float:
    """`bag_f1` of the normalised tokens of both."""
    return bag_f1(tokens(prediction), tokens(gold))


def lenient(prediction: str, gold: str) -> float:
    """1 where one contains the other after normalisation, both not empty, on word boundaries."""
    return contained(tokens(prediction), tokens(gold))


def best(metric: Callable[[str, str], float], prediction: str, golds: Sequence[str]) -> float:
    """The best score of `prediction` over `golds`."""
    return max(metric(prediction, gold) for gold in golds)


def token_scores(predicted: Sequence[str], golds: Sequence[Sequence[str]]) -> dict[str, float]:
    """`em`, `f1` and `lenient` of lists of tokens, each the best over the golds."""
    return {
        "em": float(predicted in golds),
        "f1": max(bag_f1(predicted, gold) for gold in golds),
        "lenient": max(contained(predicted, gold) for gold in golds),
    }


def squad_scores(prediction: str, golds: Sequence[str], language: str = "en") -> dict[str, float]:
    """`em`, `f1` and `lenient`, each the best over the golds."""
    return token_scores(tokens(prediction, language), [tokens(gold, language) for gold in golds])
