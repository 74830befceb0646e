"""TriviaQA's metrics (Joshi et al., 2017): SQuAD's with a normalisation of their own.

Underscores and punctuation, curly quotes and accents among it, become spaces instead of nothing.
"""

import re
import string
from collections.abc import Sequence

from branchwise.evaluation.metrics.squad import bag_f1

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SPACED = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalize(text: str) -> str:
    """TriviaQA's normalisation of an answer."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_SPACED)).split())


def triviaqa_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`em`, `f1` and `lenient`, each the best over all aliases."""
    predicted = normalize(prediction)
    wanted = [normalize(gold) for gold in golds]
    return {
        "em": float(predicted in wanted),
        "f1": max(bag_f1(predicted.split(), gold.split()) for gold in wanted),
        "lenient": max(float(_contains(predicted, gold)) for gold in wanted),
    }


def _contains(one: str, other: str) -> bool:
    """Whether one contains the other on word boundaries, both not empty."""
    one, other = f" {one} ", f" {other} "
    return bool(one.strip() and other.strip()) and (one in other or other in one)
