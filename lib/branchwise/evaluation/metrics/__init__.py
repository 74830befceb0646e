"""Metrics, as the authors of each data set define them: one module a scorer, by name in `SCORERS`.

A scorer takes a prediction and all accepted answers, and returns named scores between 0 and 1; None
where the official average leaves the question out. Every scorer gives `em`, `f1` and `lenient`, and
what `PRIMARY` names.

The scorers in `BY_LANGUAGE` also take the language of the data set; their English is the official
scorer's. Letters (choice) are the same in every language, and the rest is made for one language by its
authors (`branchwise.data.languages.MADE_FOR`). `score` calls any of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from branchwise.data.types import Scorer
from branchwise.evaluation.metrics.choice import choice_scores
from branchwise.evaluation.metrics.cmrc import cmrc_scores
from branchwise.evaluation.metrics.containment import containment_scores, lemmas_by
from branchwise.evaluation.metrics.drop import drop_scores
from branchwise.evaluation.metrics.hotpotqa import hotpotqa_scores
from branchwise.evaluation.metrics.overlap import overlap_scores, tokenized_by
from branchwise.evaluation.metrics.parts import parts_scores
from branchwise.evaluation.metrics.quac import quac_scores
from branchwise.evaluation.metrics.retrieval import retrieval_scores
from branchwise.evaluation.metrics.squad import squad_scores
from branchwise.evaluation.metrics.squad_v2 import squad_v2_scores
from branchwise.evaluation.metrics.triviaqa import triviaqa_scores

SCORERS: dict[Scorer, Callable[..., dict[str, Any]]] = {
    "squad": squad_scores,
    "squad_v2": squad_v2_scores,
    "cmrc": cmrc_scores,
    "hotpotqa": hotpotqa_scores,
    "triviaqa": triviaqa_scores,
    "drop": drop_scores,
    "quac": quac_scores,
    "choice": choice_scores,
    "overlap": overlap_scores,
    "containment": containment_scores,
    "retrieval": retrieval_scores,
    "parts": parts_scores,
}

BY_LANGUAGE = frozenset({"squad", "squad_v2", "overlap", "containment", "retrieval", "parts"})
"""Scorers whose third argument is the language."""

PRIMARY: dict[Scorer, str] = {
    "squad": "em",
    "squad_v2": "f1",
    "cmrc": "em",
    "hotpotqa": "em",
    "triviaqa": "em",
    "drop": "f1",
    "quac": "f1",
    "choice": "em",
    "overlap": "rouge_l",
    "containment": "contains",
    "retrieval": "em",
    "parts": "recall",
}
"""The metric that a set's authors lead with: what tables compare strategies by."""


def score(scorer: Scorer, prediction: Any, golds: Sequence[Any], language: str = "en") -> dict[str, Any]:
    """The scores of a prediction by a scorer, in the language of the data set."""
    if scorer in BY_LANGUAGE:
        return SCORERS[scorer](prediction, golds, language)
    return SCORERS[scorer](prediction, golds)


__all__ = ["BY_LANGUAGE", "PRIMARY", "SCORERS", "Scorer", "lemmas_by", "score", "tokenized_by"]
