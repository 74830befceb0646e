"""What the answers to several wordings of one question say together."""

from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import fmean

from branchwise.evaluation.scales import metric_of
from branchwise.results import AnswerRow, QuestionScore

Same = Callable[[str, str], bool]


def mean_of(scores: Sequence[QuestionScore]) -> QuestionScore:
    """The scores of a question as the means of those of its wordings, a judge's grades not among them."""
    core = ("em", "em_strict", "f1", "lenient", "well_formed")
    more = {
        name: _mean([score.more.get(name) for score in scores])
        for name in dict.fromkeys(name for score in scores for name in score.more)
    }
    means = {name: fmean(getattr(score, name) for score in scores) for name in core}
    return scores[0].model_copy(update={**means, "more": more})


def together(scores: Sequence[QuestionScore], answers: Sequence[str], primary: str) -> dict[str, float]:
    """Of one question: `mean_single`, the mean over its wordings of the set's primary metric;
    `any_right` (the oracle) and `all_right`, its greatest and least value; `consistency`, the share of
    pairs of wordings with equal answers, of at least two.
    """
    values = [value for score in scores if (value := metric_of(score, primary)) is not None]
    if not values:
        return {}
    pairs = list(combinations(answers, 2))
    found = {"mean_single": fmean(values), "any_right": max(values), "all_right": min(values)}
    if pairs:
        found["consistency"] = fmean(_said(one) == _said(other) != "" for one, other in pairs)
    return found


def alone(row: AnswerRow) -> list[AnswerRow]:
    """A row for the answer to each wording by itself; none where the wordings were answered together."""
    return [
        row.model_copy(
            update={
                "answer": one.answer,
                "well_formed": bool(one.well_formed),
                "wordings": (),
                "each": False,
            }
        )
        for one in row.wordings
        if one.answer is not None
    ]


def _said(answer: str) -> str:
    return " ".join(answer.casefold().split()).strip(" .,;:!?\"'")


def _mean(values: Sequence[float | None]) -> float | None:
    counted = [value for value in values if value is not None]
    return fmean(counted) if counted else None
