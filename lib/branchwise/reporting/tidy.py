"""One file for pandas: a row a question and cell, every number a number."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from branchwise.config import Cell
from branchwise.evaluation.score import ANSWER_METRICS, GUESSES
from branchwise.files import write_text
from branchwise.reporting.answers import rows_of
from branchwise.reporting.frames import Results
from branchwise.results import AnswerRow, QuestionScore
from branchwise.trace import Tokens

NAME = "tidy.csv"


def tidy(results: Results) -> pd.DataFrame:
    """A row a question and cell: the cell's names, group, question, kind; text, answer, and golds (as
    JSON); each metric; tokens (its share of the group's ledger, with the dependency stage); and the
    group's times.

    Texts, golds and tokens are read from answers.jsonl beside the scores, and empty where that is not
    kept (cached results). Raises UserError where answers and scores are of different questions.
    """
    rows = []
    for cell, scores in results.scores.items():
        times = _times(results, cell)
        kept = rows_of(results.files.get(cell), scores) or {}
        answers = {key: _said(row) for key, row in kept.items()}
        for question in scores.questions:
            row = {**cell._asdict(), "group": question.group, "question": question.question}
            row |= {"kind": question.kind, **answers.get((question.group, question.question), {})}
            rows.append(row | _metrics(question) | times.get(question.group, {}))
    frame = pd.DataFrame(rows)
    leading = [*Cell._fields, "group", "question", "kind", *OF_ANSWERS]
    frame = frame.reindex(columns=[*leading, *(name for name in frame if name not in leading)])
    return frame


OF_ANSWERS = ("text", "answer", "rule", "golds", *Tokens.model_fields)
"""Columns that are read from answers.jsonl, and so are empty where that is not kept."""


def write_tidy(results: Results, folder: Path) -> None:
    """Write `tidy.csv` into the folder."""
    write_text(folder / NAME, tidy(results).to_csv(index=False, lineterminator="\n"))


def _metrics(question: QuestionScore) -> dict[str, float | None]:
    names = (*ANSWER_METRICS, *GUESSES)
    return {name: getattr(question, name) for name in names} | question.more


def _times(results: Results, cell: Cell) -> dict[str, dict[str, float]]:
    """By group, of the whole group in seconds: repeated in each of its rows, empty where untimed."""
    found = {g.group: {"group_dependency_s": g.dependency_s} for g in results.scores[cell].groups}
    for one in results.scores[cell].groups:
        if one.wording_s is not None:
            found[one.group]["group_wording_s"] = one.wording_s
    for name, values in results.seconds(cell).items():
        for group, seconds in values.items():
            found[group][f"group_{name}"] = seconds
    return found


def _said(row: AnswerRow) -> dict[str, Any]:
    golds = row.gold_spans or row.golds
    said = {"text": row.text, "answer": row.answer, "rule": getattr(row, "rule", None)}
    return {**said, "golds": json.dumps(golds, ensure_ascii=False), **row.tokens.model_dump()}
