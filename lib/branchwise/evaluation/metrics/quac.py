"""QuAC's metrics (Choi et al., 2018): F1 with one reference left out, against what people reach."""

from collections.abc import Sequence

from branchwise.data.types import CANNOT_ANSWER
from branchwise.evaluation.metrics.squad import best, exact_match, f1, lenient

MIN_HUMAN_F1 = 0.4
"""Questions on which people agree less are left out of the official averages."""


def counted_references(golds: Sequence[str]) -> list[str]:
    """The references that count: CANNOTANSWER alone where at least half of them say so, else all
    that do not.
    """
    spans = [gold for gold in golds if gold != CANNOT_ANSWER]
    if len(golds) - len(spans) >= len(spans):
        return [CANNOT_ANSWER]
    return spans


def _without(items: Sequence[str], index: int) -> list[str]:
    return [item for position, item in enumerate(items) if position != index]


def human_f1(references: Sequence[str]) -> float:
    """F1 of each reference against the best other one, on average; 1 where there is only one."""
    if len(references) == 1:
        return 1.0
    pairs = ((ref, _without(references, i)) for i, ref in enumerate(references))
    return sum(best(f1, ref, others) for ref, others in pairs) / len(references)


def quac_scores(prediction: str, golds: Sequence[str]) -> dict[str, float | None]:
    """`f1` (mean over leaving each reference out), `human_f1`, `heq` (as good as people), and `em`.

    `counted_f1` and `heq` are None where people agree too little: the official averages leave such
    questions out.
    """
    references = counted_references(golds)
    if references == [CANNOT_ANSWER]:
        # Said in these very letters or not said: the official scorer normalises nothing here.
        score = float(prediction == CANNOT_ANSWER)
    elif len(references) == 1:
        score = best(f1, prediction, references)
    else:
        left_out = (_without(references, index) for index in range(len(references)))
        score = sum(best(f1, prediction, others) for others in left_out) / len(references)
    human = human_f1(references)
    counted = human >= MIN_HUMAN_F1
    return {
        "em": best(exact_match, prediction, references),
        "f1": score,
        "lenient": best(lenient, prediction, references),
        "human_f1": human,
        "counted_f1": score if counted else None,
        "heq": float(score >= human) if counted else None,
    }
