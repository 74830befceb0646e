"""HotpotQA's answer metrics (Yang et al., 2018): SQuAD's, but yes, no and noanswer are all or nothing."""

from collections.abc import Sequence

from branchwise.evaluation.metrics.squad import best, exact_match, f1, lenient, normalize

_WHOLE = ("yes", "no", "noanswer")


def hotpotqa_f1(prediction: str, gold: str) -> float:
    """F1 over tokens; 0 where either is one of yes, no, noanswer and the other is not the same."""
    predicted, wanted = normalize(prediction), normalize(gold)
    if predicted != wanted and (predicted in _WHOLE or wanted in _WHOLE):
        return 0.0
    return f1(prediction, gold)


def hotpotqa_scores(prediction: str, golds: Sequence[str]) -> dict[str, float]:
    """`em`, `f1` and `lenient`, each the best over the golds."""
    return {
        "em": best(exact_match, prediction, golds),
        "f1": best(hotpotqa_f1, prediction, golds),
        "lenient": best(lenient, prediction, golds),
    }
