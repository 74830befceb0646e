"""Accuracy of multiple choice: sets of letters, compared as such; part of several is not right."""

from collections.abc import Sequence

from branchwise.data.letters import letters_in


def choice_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """1 under every metric where the letters of the prediction are all of a gold's and no other.

    SQuAD's normalisation would drop the letter A as an article, so it is never applied here.
    """
    letters = letters_in(prediction)
    right = bool(letters) and any(letters == letters_in(gold) for gold in golds)
    return dict.fromkeys(("em", "f1", "lenient"), float(right))
