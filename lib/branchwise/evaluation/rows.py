"""Scores of single rows of {prediction, golds}, exactly as the official scorers give them."""

from typing import Any, cast

from branchwise.data.languages import language_of
from branchwise.evaluation.metrics import SCORERS, Scorer, score
from branchwise.evaluation.metrics.drop import spans_of
from branchwise.evaluation.metrics.edges import edge_scores

ROW_METRICS = (*SCORERS, "edges")


def score_row(row: Any, metric: str, language: str | None = None) -> dict[str, float | None]:
    """The scores of one row, in a language (by default the metric's own, else English).

    Raises ValueError where the row has not the form that the metric takes, or the metric is not for
    that language.
    """
    code = language_of(metric, language)
    if not isinstance(row, dict) or "prediction" not in row:
        raise ValueError("a row is an object with prediction and golds")
    prediction, golds = row["prediction"], _golds(row, metric)
    if metric == "edges":
        return edge_scores(_pairs(prediction), _pairs(golds))
    if metric == "drop":
        if isinstance(prediction, dict):
            prediction = spans_of(prediction)
        prediction = _spans(prediction)
    elif not isinstance(prediction, str):
        raise ValueError(f"prediction is a text, not {prediction!r}")
    # One of ROW_METRICS, as the command checks.
    return score(cast(Scorer, metric), prediction, golds, code)


def _golds(row: dict[str, Any], metric: str) -> list[Any]:
    """All accepted answers: texts, or lists of spans (DROP) or parts; none only for SQuAD 2.0, where that
    says that the question is unanswerable.
    """
    if "golds" in row:
        golds = row["golds"] if isinstance(row["golds"], list) else [row["golds"]]
    elif "gold" in row:
        golds = row["gold"] if isinstance(row["gold"], list) and metric != "drop" else [row["gold"]]
    else:
        raise ValueError("neither golds nor gold is given")
    if metric == "edges":
        return golds
    if not golds and metric != "squad_v2":
        raise ValueError("golds is empty")
    if metric == "drop":
        return [spans_of(gold) if isinstance(gold, dict) else _spans(gold) for gold in golds]
    if metric == "parts":
        return [gold if isinstance(gold, str) else _spans(gold) for gold in golds]
    if not all(isinstance(gold, str) for gold in golds):
        raise ValueError(f"golds are texts, not {golds!r}")
    return golds


def _spans(answer: Any) -> list[str]:
    spans = [answer] if isinstance(answer, str) else answer
    if not isinstance(spans, list) or not all(isinstance(span, str) for span in spans):
        raise ValueError(f"an answer is a text or a list of spans, not {answer!r}")
    return spans


def _pairs(edges: Any) -> list[tuple[str, str]]:
    try:
        return [(str(one), str(other)) for one, other in edges]
    except (TypeError, ValueError):
        raise ValueError(f"edges are pairs [needed, needing], not {edges!r}") from None
