"""Metrics, as the authors of each data set define them: one module a scorer, by name in `SCORERS`.

A scorer takes a prediction and all accepted answers, and returns named scores between 0 and 1; None
where the official average leaves the question out. Every scorer gives `em`, `f1` and `lenient`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from branchwise.data.types import Scorer
from branchwise.evaluation.metrics.choice import choice_scores
from branchwise.evaluation.metrics.containment import containment_scores, lemmas_by
from branchwise.evaluation.metrics.drop import drop_scores
from branchwise.evaluation.metrics.hotpotqa import hotpotqa_scores
from branchwise.evaluation.metrics.overlap import overlap_scores
from branchwise.evaluation.metrics.quac import quac_scores
from branchwise.evaluation.metrics.retrieval import retrieval_scores
from branchwise.evaluation.metrics.squad import squad_scores
from branchwise.evaluation.metrics.triviaqa import triviaqa_scores

SCORERS: dict[Scorer, Callable[[Any, Sequence[Any]], dict[str, Any]]] = {
    "squad": squad_scores,
    "hotpotqa": hotpotqa_scores,
    "triviaqa": triviaqa_scores,
    "drop": drop_scores,
    "quac": quac_scores,
    "choice": choice_scores,
    "overlap": overlap_scores,
    "containment": containment_scores,
    "retrieval": retrieval_scores,
}

PRIMARY: dict[Scorer, str] = {
    "squad": "em",
    "hotpotqa": "em",
    "triviaqa": "em",
    "drop": "f1",
    "quac": "f1",
    "choice": "em",
    "overlap": "rouge_l",
    "containment": "contains",
    "retrieval": "em",
}
"""The metric by which strategies are compared, as the data sets' authors rank systems."""

__all__ = ["PRIMARY", "SCORERS", "Scorer", "lemmas_by"]
