"""Retrieval: the final answer alone counts, not what was named on the way to it."""

import re
from collections.abc import Sequence

from branchwise.evaluation.metrics.squad import squad_scores

END = "%%%%"
"""What ends the steps of an answer (`####%%%%`): its conclusion stands behind it."""
_LABEL = re.compile(
    r"(?:name|answer|姓名|答案|答え|정답|ответ|الإجابة|คำตอบ|antwort|respuesta|réponse)\s*[:：]",
    re.IGNORECASE,
)


def final_answer(text: str) -> str:
    """What stands after the last label ("name:", "answer:") of the last line that is not blank, of what
    stands behind the last end of steps where there is one.
    """
    lines = [line.strip() for line in text.rpartition(END)[2].splitlines() if line.strip()]
    if not lines:
        return ""
    return _LABEL.split(lines[-1])[-1].strip(" *\"'`.。")


def retrieval_scores(prediction: str, golds: Sequence[str], language: str = "en") -> dict[str, float]:
    """SQuAD's metrics of the final answer."""
    return squad_scores(final_answer(prediction), golds, language)
