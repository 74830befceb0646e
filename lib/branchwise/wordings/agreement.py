"""How far sampled answers agree with the likeliest one."""

from collections.abc import Sequence
from statistics import fmean

from branchwise.data.types import AnswerType
from branchwise.evaluation.metrics.squad import contained, tokens


def agreement(answer: str, samples: Sequence[str], kind: AnswerType, language: str) -> float:
    """The share of `samples` that agree with `answer`, 0 to 1: the words of one stand in a row in the
    other's. An empty answer agrees with nothing. Of a `kind` choice letters are compared, of any other
    words as the data set's `language` normalises them.
    """
    words = _words(answer, kind, language)
    return fmean(contained(words, _words(sample, kind, language)) for sample in samples)


def _words(answer: str, kind: AnswerType, language: str) -> list[str]:
    # The letter A would be dropped as an article.
    return answer.casefold().split() if kind == "choice" else tokens(answer, language)
