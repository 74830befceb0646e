"""Scores of multiple-choice answers: letters are compared as letters."""

from collections.abc import Sequence


def choice_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """1 under every metric where the set of letters is a gold's, else 0.

    SQuAD's normalisation would drop the letter A as an article, so it is never applied here.
    """
    right = bool(prediction) and any(set(prediction) == set(gold) for gold in golds)
    return dict.fromkeys(("em", "f1", "lenient"), float(right))
