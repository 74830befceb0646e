"""TriviaQA's metrics (Joshi et al., 2017): SQuAD's with a normalisation of their own.

Underscores and punctuation, curly quotes and accents among it, become spaces instead of nothing.
"""

import string
from collections.abc import Sequence

from branchwise.evaluation.metrics.squad import token_scores, without_articles

_SPACED = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalize(text: str) -> str:
    """TriviaQA's normalisation of an answer."""
    return without_articles(text.lower().translate(_SPACED))


def triviaqa_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`em`, `f1` and `lenient`, each the best over all aliases."""
    return token_scores(normalize(prediction).split(), [normalize(gold).split() for gold in golds])
