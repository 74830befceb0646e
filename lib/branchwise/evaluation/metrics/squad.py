"""SQuAD's metrics, those of the official script, version 1.1 (Rajpurkar et al., 2016).

Lower-cased, punctuation and articles removed, white space collapsed; the best over all golds. These
are also the metrics of every set whose authors published none. That an empty answer is never right
is not the metric's rule but that of the whole project; `score.py` sees to it.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def without_articles(text: str) -> str:
    """The words of a lower-case text but a, an and the, with single spaces between them."""
    return " ".join(_ARTICLES.sub(" ", text).split())


def contained(one: str, other: str) -> float:
    """1 where one of two normalised texts contains the other on word boundaries, both not empty."""
    if not one or not other:
        return 0.0
    return float(f" {one} " in f" {other} " or f" {other} " in f" {one} ")


def normalize(text: str) -> str:
    """SQuAD's normalisation of an answer."""
    text = "".join(char for char in text.lower() if char not in _PUNCTUATION)
    return without_articles(text)


def exact_match(prediction: str, gold: str) -> float:
    """1 where both are the same after normalisation."""
    return float(normalize(prediction) == normalize(gold))


def bag_f1(predicted: Sequence[str], wanted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over two lists of tokens, as bags."""
    common = sum((Counter(predicted) & Counter(wanted)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(predicted), common / len(wanted)
    return 2 * precision * recall / (precision + recall)


def f1(prediction: str, gold: str) -> float:
    """`bag_f1` of the normalised tokens of both."""
    return bag_f1(normalize(prediction).split(), normalize(gold).split())


def lenient(prediction: str, gold: str) -> float:
    """1 where one contains the other after normalisation, both not empty, on word boundaries."""
    return contained(normalize(prediction), normalize(gold))


def best(metric: Callable[[str, str], float], prediction: str, golds: Sequence[str]) -> float:
    """The best score of `prediction` over `golds`."""
    return max(metric(prediction, gold) for gold in golds)


def squad_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`em`, `f1` and `lenient`, each the best over the golds."""
    return {
        "em": best(exact_match, prediction, golds),
        "f1": best(f1, prediction, golds),
        "lenient": best(lenient, prediction, golds),
    }
