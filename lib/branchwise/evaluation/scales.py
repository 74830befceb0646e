"""A metric by its name: its value, and its scale (shares, grades, or amounts without an upper end)."""

from branchwise.evaluation.statistics import Bounds
from branchwise.results import QuestionScore

GROUP_METRICS = (
    "forward_passes",
    "sent",
    "unique",
    "cached",
    "generated",
    "padding",
    "dependency_s",
    "wording_s",
    "edges",
    "edge_precision",
    "edge_recall",
    "edge_turned",
)
AMOUNTS = {"wordings", *GROUP_METRICS} - {"edge_precision", "edge_recall", "edge_turned"}


def bounds_of(name: str) -> Bounds | None:
    """The scale of a metric; None for amounts, such as seconds and tokens."""
    if name.startswith("judge_"):
        return (1.0, 5.0)
    return None if name in AMOUNTS else (0.0, 1.0)


def metric_of(question: QuestionScore, name: str) -> float | None:
    """A metric of one answer, by its name; None where it leaves the question out."""
    return question.more[name] if name in question.more else getattr(question, name, None)
