"""What was said beside how good it was: a cell's answers, joined with their scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from branchwise.errors import UserError
from branchwise.reporting.names import short_names
from branchwise.reporting.verdicts import Verdict, verdict_of
from branchwise.results import AnswerRow, Scores, read_rows


@dataclass(frozen=True)
class Answer:
    """One answer: its question's short name in the group, its row, and how good it is (None where the
    primary metric leaves the question out).
    """

    name: str
    row: AnswerRow
    verdict: Verdict | None

    @property
    def is_wrong(self) -> bool:
        """Whether the primary metric is known and below 1."""
        return self.verdict is not None and self.verdict.is_wrong

    @property
    def golds(self) -> str:
        """What would have been right: every accepted answer, once."""
        return " | ".join(dict.fromkeys(self.row.golds))

    @property
    def raw(self) -> str:
        """The whole reply where it says more than the answer that was read from it; else ""."""
        return "" if self.row.raw.strip() == self.row.answer.strip() else self.row.raw


Groups = Mapping[str, Sequence[Answer]]
"""Answers by the id of their group, in the order of the scores."""


def rows_of(scored: Path | None, scores: Scores) -> dict[tuple[str, str], AnswerRow] | None:
    """What was said to each question, by group and question, from answers.jsonl above the file of scores;
    None where that is not kept.

    Raises UserError where the answers are of another identity than the scores, or of other questions.
    """
    path = scored.parent.parent / "answers.jsonl" if scored else None
    if path is None or not path.is_file():
        return None
    about = scores.identity.about(scores.cell)
    found = {(row.group, row.question): row for row in read_rows(path, AnswerRow, about)}
    if found.keys() != {(q.group, q.question) for q in scores.questions}:
        raise UserError(
            f"{path.absolute()} and its scores are of different questions",
            "remove the scores and run `snakemake`",
        )
    return found


def answers_of(scored: Path | None, scores: Scores) -> Groups | None:
    """A cell's answers by group; None where they are not kept. Raises as `rows_of` does."""
    rows = rows_of(scored, scores)
    if rows is None:
        return None
    ids: dict[str, list[str]] = {}
    for score in scores.questions:
        ids.setdefault(score.group, []).append(score.question)
    names = {group: short_names(questions) for group, questions in ids.items()}
    found: dict[str, list[Answer]] = {group: [] for group in ids}
    for score in scores.questions:
        row = rows[score.group, score.question]
        verdict = verdict_of(score, scores.primary)
        found[score.group].append(Answer(names[score.group][score.question], row, verdict))
    return found


def listed(groups: Groups, wrong: bool = False, worst_first: bool | None = None) -> list[Answer]:
    """A cell's answers, all or the wrong ones, as their groups come; with `worst_first` the worst first,
    or the best where it is False, and last those that the metric leaves out.
    """
    answers = [one for group in groups.values() for one in group if one.is_wrong or not wrong]
    if worst_first is None:
        return answers
    sign = 1 if worst_first else -1
    return sorted(answers, key=lambda one: (one.verdict is None, sign * _value(one)))


def _value(one: Answer) -> float:
    return one.verdict.value if one.verdict else 0.0


def extremes(groups: Groups, count: int = 3) -> tuple[list[str], list[str]]:
    """Ids of the worst and of the best groups by the mean of the primary metric, the worst and the best
    first; of equal ones those with the lesser ids. None is in both: of few groups there are fewer.
    """
    found = {group: mean for group in groups if (mean := mean_of(groups[group])) is not None}
    worst = sorted(found, key=lambda group: (found[group], group))[: min(count, (len(found) + 1) // 2)]
    others = [group for group in found if group not in worst]
    return worst, sorted(others, key=lambda group: (-found[group], group))[:count]


def mean_of(answers: Sequence[Answer]) -> float | None:
    """The mean of the primary metric; None where it leaves all of them out."""
    values = [one.verdict.value for one in answers if one.verdict is not None]
    return sum(values) / len(values) if values else None
