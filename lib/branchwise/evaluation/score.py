"""From a cell's answers and run to its scores."""

import statistics
from collections.abc import Sequence

from branchwise.errors import UserError
from branchwise.evaluation.choice import choice_scores
from branchwise.evaluation.metrics import scores
from branchwise.evaluation.statistics import mean_interval
from branchwise.results import (
    AnswerRow,
    GroupRun,
    GroupScore,
    Metric,
    QuestionScore,
    RunRecord,
    Scores,
)

ANSWER_METRICS = ("em", "f1", "lenient", "well_formed")
GROUP_METRICS = (
    "wall_s",
    "ideal_s",
    "forward_passes",
    "sent",
    "unique",
    "cached",
    "generated",
    "padding",
)


def score_answer(row: AnswerRow) -> QuestionScore:
    """The scores of one answer, by the definition for its type."""
    scorer = choice_scores if row.answer_type == "choice" else scores
    return QuestionScore(
        group=row.group,
        question=row.question,
        kind=row.kind,
        guess=row.guess,
        well_formed=float(row.well_formed),
        **scorer(row.answer, row.golds),
    )


def score_group(run: GroupRun) -> GroupScore:
    """Measures of one group."""
    return GroupScore(
        group=run.id,
        num_questions=run.num_questions,
        wall_s=statistics.median(run.wall_s),
        ideal_s=run.ideal_s,
        forward_passes=run.forward_passes,
        **run.tokens.model_dump(),
    )


def score_cell(rows: Sequence[AnswerRow], run: RunRecord, draws: int, seed: int) -> Scores:
    """All scores of a cell. Raises UserError where answers and run are not of the same groups."""
    questions = [score_answer(row) for row in rows]
    groups = [score_group(group) for group in run.groups]
    if {q.group for q in questions} != {g.group for g in groups}:
        raise UserError("answers.jsonl and run.json are of different groups", "make both anew")
    metrics = _question_metrics(questions, draws, seed)
    for name in GROUP_METRICS:
        values = [float(getattr(group, name)) for group in groups]
        interval = mean_interval(values, [g.group for g in groups], draws, seed)
        metrics[name] = Metric(**interval._asdict(), n=len(groups))
    kinds = dict.fromkeys(question.kind for question in questions)
    by_kind = {
        kind: _question_metrics([q for q in questions if q.kind == kind], draws, seed) for kind in kinds
    }
    return Scores(
        cell=run.cell,
        hardware=run.hardware,
        metrics=metrics,
        by_kind=by_kind,
        questions=tuple(questions),
        groups=tuple(groups),
    )


def _question_metrics(questions: Sequence[QuestionScore], draws: int, seed: int) -> dict[str, Metric]:
    groups = [question.group for question in questions]
    values = {name: [getattr(q, name) for q in questions] for name in ANSWER_METRICS}
    if all(question.guess is not None for question in questions):
        values["guess"] = [question.guess for question in questions]
    return {
        name: Metric(**mean_interval(column, groups, draws, seed)._asdict(), n=len(column))
        for name, column in values.items()
    }
