"""The scores of questions that were asked in several wordings."""

import pytest

from branchwise.evaluation.judge import Verdict
from branchwise.evaluation.score import score_row
from branchwise.evaluation.verdicts import GRADES
from branchwise.results import AnswerRow, Tokens, WordingRow

TOKENS = Tokens(sent=4, unique=4, cached=0, generated=1, padding=0)


def row(*said: str | None, answer: str = "Oslo", each: bool = False) -> AnswerRow:
    return AnswerRow(
        group="g",
        question="q",
        text="Where?",
        kind="look_up",
        answer_type="span",
        golds=("Oslo",),
        guess=None,
        raw=answer,
        answer=answer,
        well_formed=True,
        asks=(0,),
        wordings=tuple(
            WordingRow(text=f"w{n}", answer=one, well_formed=None if one is None else bool(one))
            for n, one in enumerate(said)
        ),
        each=each,
        tokens=TOKENS,
        start_s=0,
        end_s=1,
    )


def test_single_wordings_are_scored_by_their_mean() -> None:
    scores = score_row(row("Oslo", "Rome", "", "Oslo", each=True), "squad")
    assert (scores.em, scores.well_formed, scores.em_strict) == (0.5, 0.75, 0.5)
    assert scores.more == {
        "mean_single": 0.5,
        "any_right": 1.0,
        "all_right": 0.0,
        "consistency": pytest.approx(1 / 6),  # of six pairs the two that say Oslo
        "wordings": 4,
    }


def test_a_vote_is_scored_by_its_answer_and_says_what_its_wordings_did() -> None:
    scores = score_row(row("Oslo", "Rome", "Rome", answer="Rome"), "squad")
    assert scores.em == 0.0
    assert scores.more["mean_single"] == pytest.approx(1 / 3)
    assert scores.more["any_right"] == 1.0


def test_what_was_answered_together_has_no_single_scores() -> None:
    scores = score_row(row(None, None), "squad")
    assert (scores.em, scores.more) == (1.0, {"wordings": 2})
    assert score_row(row(), "squad").more == {}


def test_one_wording_has_no_pairs_and_empty_answers_agree_with_nothing() -> None:
    assert "consistency" not in score_row(row("Oslo", each=True), "squad").more
    assert score_row(row("", "", each=True), "squad").more["consistency"] == 0.0


def test_the_metric_is_that_of_the_data_set() -> None:
    scores = score_row(row("It is Oslo", "Rome", each=True), "containment")
    assert (scores.more["contains"], scores.more["mean_single"], scores.em) == (0.5, 0.5, 0.0)


def test_a_judge_reads_the_answer_to_the_own_wording() -> None:
    names = GRADES["single"]
    verdict = Verdict(group="g", question="q", rubric="single", grades=dict.fromkeys(names, 4))
    alone = score_row(row(), "squad", verdict).more
    both = score_row(row("Oslo", "Rome", each=True), "squad", verdict).more
    grades = {name: value for name, value in alone.items() if name.startswith("judge_")}
    assert grades
    assert grades.items() <= both.items()
