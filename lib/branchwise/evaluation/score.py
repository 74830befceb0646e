"""From a cell's answers and run to its scores."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from branchwise.errors import UserError
from branchwise.evaluation.judge import JudgeRecord, Verdict
from branchwise.evaluation.metrics import PRIMARY, Scorer, lemmas_by, score, tokenized_by
from branchwise.evaluation.metrics.drop import predicted_spans
from branchwise.evaluation.metrics.edges import edge_scores
from branchwise.evaluation.metrics.squad import tokens
from branchwise.evaluation.metrics.squad_v2 import as_authors_have_it
from branchwise.evaluation.scales import GROUP_METRICS, bounds_of
from branchwise.evaluation.statistics import mean_interval
from branchwise.evaluation.verdicts import GRADES
from branchwise.evaluation.wordings import alone, mean_of, together
from branchwise.files import value_hash
from branchwise.results import (
    AnswerRow,
    GroupRun,
    GroupScore,
    Identity,
    Metric,
    QuestionScore,
    RunRecord,
    Scores,
    Throughput,
)
from branchwise.trace import ANSWERER, Tokens

ANSWER_METRICS = ("em", "em_strict", "f1", "lenient", "well_formed")
GUESSES = ("guess", "chain_guess")
ABOUT_GOLDS = ("human_f1",)


def score_answer(
    row: AnswerRow, scorer: Scorer, verdict: Verdict | None = None, language: str = "en"
) -> QuestionScore:
    """The scores of one answer, by its data set's definitions in its language; a choice is always
    compared by letters, and the set's primary metric is then whether it is right.

    An empty answer is wrong under every metric, also where normalisation empties a gold or the right
    answer is that there is none (which has to be said); only what a metric says about the golds alone
    (how well people agree) stays. A judge's grades, 1 to 5, stand beside them; a missing verdict is
    None.
    """
    primary, is_empty = PRIMARY[scorer], not row.answer.strip()
    if row.answer_type == "choice":
        scores = score("choice", row.answer, row.golds)
        scores.setdefault(primary, scores["em"])
    elif scorer == "drop":
        spans = row.gold_spans or tuple((gold,) for gold in row.golds)
        scores = score(scorer, predicted_spans(row.answer), spans)
    elif scorer == "parts":
        scores = score(scorer, row.answer, row.gold_spans or row.golds, language)
    elif scorer == "squad_v2":
        scores = score(scorer, *as_authors_have_it(row.answer, row.golds), language)
        is_empty = not tokens(row.answer, language)  # "." must not pass for "no answer"
    else:
        scores = score(scorer, row.answer, row.golds, language)
    if is_empty:
        empty = {key: 0.0 for key, value in scores.items() if value is not None}
        scores |= empty | {key: scores[key] for key in ABOUT_GOLDS if key in scores}
    if verdict is not None:
        scores |= {f"judge_{name}": (verdict.grades or {}).get(name) for name in GRADES[verdict.rubric]}
    core = {name: scores.pop(name) for name in ("em", "f1", "lenient")}
    return QuestionScore(
        group=row.group,
        question=row.question,
        kind=row.kind,
        guess=row.guess,
        chain_guess=row.chain_guess,
        said=value_hash(row.raw),
        answered=value_hash(row.answer),
        well_formed=float(row.well_formed),
        em_strict=core["em"] if row.well_formed else 0.0,
        more=scores,
        **core,
    )


def score_row(
    row: AnswerRow, scorer: Scorer, verdict: Verdict | None = None, language: str = "en"
) -> QuestionScore:
    """The scores of a question: those of its answer, or the means over the answers to its wordings; with
    what these say together, and how many wordings there were.
    """
    scores = score_answer(row, scorer, verdict, language)
    if not row.wordings:
        return scores
    rows = alone(row)
    singles = [score_answer(one, scorer, None, language) for one in rows]
    if row.each:
        # A judge reads the answer of the row, which is the one to the question's own wording.
        grades = {name: v for name, v in scores.more.items() if name.startswith("judge_")}
        scores = mean_of(singles)
        scores = scores.model_copy(update={"more": scores.more | grades})
    more = together(singles, [one.answer for one in rows], PRIMARY[scorer])
    return scores.model_copy(update={"more": {**scores.more, **more, "wordings": len(row.wordings)}})


def score_group(run: GroupRun) -> GroupScore:
    """Counters of one group. What the stages before it cost is in them."""
    found = run.dependencies
    tokens = Tokens.total([run.tokens, *(one.tokens for one in run.before)])
    wordings = [one.wall_s for one in run.before if one is not found]
    quality = edge_scores(found.edges, found.known) if found and found.known is not None else {}
    return GroupScore(
        group=run.id,
        num_questions=run.num_questions,
        latency_s=run.latency_s,
        dependency_s=found.wall_s if found else 0.0,
        wording_s=sum(wordings) if wordings else None,
        edges=len(found.edges) / run.num_questions if found else 0.0,
        edge_pairs=found.edges if found else (),
        known_pairs=found.known if found else None,
        edge_precision=quality.get("precision"),
        edge_recall=quality.get("recall"),
        edge_turned=quality.get("turned"),
        forward_passes=run.forward_passes + sum(one.forward_passes for one in run.before),
        **tokens.model_dump(),
    )


def score_cell(
    rows: Sequence[AnswerRow],
    run: RunRecord,
    scoring: Identity,
    judged: JudgeRecord | None = None,
) -> Scores:
    """All scores of a cell. Raises UserError where answers, run or verdicts are not of the same
    questions.
    """
    scorer: Scorer = scoring.settings["scorer"]
    verdicts: Sequence[Verdict | None] = judged.verdicts if judged else [None] * len(rows)
    if judged and [(v.group, v.question) for v in judged.verdicts] != [
        (row.group, row.question) for row in rows
    ]:
        raise UserError("judged.json is of other answers", "delete it and judge again")
    language = scoring.settings.get("language", "en")
    questions = [score_row(row, scorer, v, language) for row, v in zip(rows, verdicts, strict=True)]
    groups = [score_group(group) for group in run.groups]
    if {q.group for q in questions} != {g.group for g in groups}:
        raise UserError("answers.jsonl and run.json are of different groups", "make both anew")
    metrics = _question_metrics(questions)
    for name in GROUP_METRICS:
        metrics |= _metric(name, [(getattr(g, name), g.group) for g in groups])
    kinds = dict.fromkeys(question.kind for question in questions)
    by_kind = {kind: _question_metrics([q for q in questions if q.kind == kind]) for kind in kinds}
    return Scores(
        cell=run.cell,
        identity=run.identity,
        scoring=scoring,
        hardware=run.hardware,
        scorer=scorer,
        primary=PRIMARY[scorer],
        language=language,
        lemmas_by=lemmas_by(language) if scorer == "containment" else None,
        tokenized_by=tokenized_by(language) if scorer == "overlap" else None,
        judge=_judge_facts(judged),
        throughput=_throughput(run),
        left_out=run.left_out,
        fallbacks=Counter(
            g.dependencies.fallback for g in run.groups if g.dependencies and g.dependencies.fallback
        ),
        paraphrases=run.paraphrases,
        served=run.served,
        noted=Counter(note for row in rows for note in dict.fromkeys(row.notes)),
        metrics=metrics,
        by_kind=by_kind,
        questions=tuple(questions),
        groups=tuple(groups),
    )


def _throughput(run: RunRecord) -> Throughput | None:
    """What the run did in its makespan; of a resumed one nobody knows which groups it asked itself."""
    if run.num_resumed:
        return None
    return Throughput(
        makespan_s=run.makespan_s,
        groups_in_flight=run.groups_in_flight,
        num_groups=run.num_groups,
        num_questions=sum(group.num_questions for group in run.groups),
        generated_tokens=run.totals_by_role[ANSWERER].generated
        if ANSWERER in run.totals_by_role
        else 0.0,
    )


def _judge_facts(judged: JudgeRecord | None) -> dict[str, Any] | None:
    """Who judged, with which words, and how much is missing."""
    if judged is None:
        return None
    return {
        "model": judged.settings["model"],
        "prompt_version": judged.prompt_version,
        "num_missing": judged.num_missing,
        "num_verdicts": len(judged.verdicts),
    }


def _question_metrics(questions: Sequence[QuestionScore]) -> dict[str, Metric]:
    values = {name: [getattr(q, name) for q in questions] for name in ANSWER_METRICS}
    more = dict.fromkeys(name for question in questions for name in question.more)
    values |= {name: [q.more.get(name) for q in questions] for name in more}
    for name in GUESSES:
        guesses = [getattr(question, name) for question in questions]
        if None not in guesses:
            values[name] = guesses
    metrics: dict[str, Metric] = {}
    for name, column in values.items():
        pairs = [(value, q.group) for value, q in zip(column, questions, strict=True)]
        metrics |= _metric(name, pairs)
    return metrics


def _metric(name: str, pairs: Sequence[tuple[float | None, str]]) -> dict[str, Metric]:
    """The mean of what counts, with its interval; nothing where nothing counts."""
    counted = [(float(value), group) for value, group in pairs if value is not None]
    if not counted:
        return {}
    numbers, groups = zip(*counted, strict=True)
    value, low, high = mean_interval(numbers, groups, bounds=bounds_of(name))
    ends = (None, None) if math.isnan(low) else (low, high)
    return {name: Metric(value=value, low=ends[0], high=ends[1], n=len(numbers), groups=len(set(groups)))}
