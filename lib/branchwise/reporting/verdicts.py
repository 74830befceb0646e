"""How good an answer is, in one word: right, wrong, or a grade between."""

from dataclasses import dataclass

from branchwise.evaluation.scales import metric_of
from branchwise.reporting.names import RIGHT_OR_WRONG, metric_name
from branchwise.results import QuestionScore


@dataclass(frozen=True)
class Verdict:
    """How good an answer is by the data set's primary metric: right, wrong, or a grade between."""

    metric: str
    value: float

    @property
    def is_grade(self) -> bool:
        """Whether the number says more than right or wrong."""
        return self.metric not in RIGHT_OR_WRONG or self.value not in (0.0, 1.0)

    @property
    def is_wrong(self) -> bool:
        """Whether anything is missing: what filters for wrong answers show."""
        return self.value < 1

    @property
    def css(self) -> str:
        """The class that colours it."""
        return "graded" if self.is_grade else "right" if self.value else "wrong"

    @property
    def sign(self) -> str:
        """The same without colour."""
        if self.is_grade:
            return f"{metric_name(self.metric)} {self.value:.2f}"
        return "✓" if self.value else "✗"

    @property
    def number(self) -> str:
        """The same where the metric is named elsewhere, as in the head of a column."""
        return f"{self.value:.2f}" if self.is_grade else self.sign


def verdict_of(score: QuestionScore | None, primary: str) -> Verdict | None:
    """An answer's value under the primary metric; None where there is none."""
    value = None if score is None else metric_of(score, primary)
    return None if value is None else Verdict(primary, value)
