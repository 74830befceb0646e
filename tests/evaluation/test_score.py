"""A hand-made run through scoring: every number of a cell's scores was computed on paper."""

import pytest
from tests.chaos.trial import plain

from branchwise.data.types import NO_ANSWER
from branchwise.errors import UserError
from branchwise.evaluation.judge import JudgeRecord, Verdict
from branchwise.evaluation.metrics.edges import edge_scores
from branchwise.evaluation.scales import bounds_of
from branchwise.evaluation.score import score_answer, score_cell, score_group
from branchwise.evaluation.statistics import mean_interval
from branchwise.results import (
    AnswerRow,
    GroupDependencies,
    GroupRun,
    Identity,
    LeftOut,
    Metric,
    RunRecord,
    Tokens,
)


def ledger(sent: float, cached: float = 0, generated: float = 0, padding: float = 0) -> Tokens:
    return Tokens(sent=sent, unique=sent - cached, cached=cached, generated=generated, padding=padding)


def row(group: str, question: str, answer: str = "Oslo", **changes) -> AnswerRow:
    content = {
        **{"group": group, "question": question, "text": "?", "kind": "look_up", "answer_type": "span"},
        **{"golds": ("Oslo",), "guess": 0.25, "raw": answer, "answer": answer, "well_formed": True},
        **{"asks": (0,), "tokens": ledger(1), "start_s": 0.0, "end_s": 1.0},
    }
    return AnswerRow(**content | changes)


def found(group: str, edges, known, **changes) -> GroupDependencies:
    content = {
        **{"group": group, "generator": "llm", "candidates": (), "edges": edges, "known": known},
        **{"tokens": ledger(50, 20, 7, 3), "forward_passes": 7, "wall_s": 0.5},
    }
    return GroupDependencies(**content | changes)


def group_run(name: str, size: int, dependencies: GroupDependencies | None = None) -> GroupRun:
    return GroupRun(
        id=name,
        num_questions=size,
        forward_passes=11,
        num_asks=size,
        tokens=ledger(100, 40, 12, 5),
        tokens_by_role={},
        dependencies=dependencies,
    )


SCORING = {"scorer": "squad", "language": "en"}


def run_record(*groups: GroupRun, **changes) -> RunRecord:
    content = {
        **{"cell": {"dataset": "d"}, "identity": Identity(settings={"a": 1}, code="c"), "hardware": {}},
        **{"makespan_s": 4.0, "groups_in_flight": 3, "num_groups": len(groups), "num_resumed": 0},
        **{"left_out": (), "totals_by_role": {}, "groups": groups},
    }
    return RunRecord.model_construct(**content | changes)


def scored(rows, run, judged=None, **settings):
    return score_cell(rows, run, Identity(settings=SCORING | settings, code=""), judged)


EDGES = (("q1", "q2"), ("q3", "q2"))
KNOWN = (("q1", "q2"), ("q2", "q3"), ("q1", "q3"))


def test_a_group_with_dependencies_by_hand() -> None:
    """What finding the dependencies cost is in the group's totals: tokens, passes, seconds."""
    score = score_group(group_run("g", 4, found("g", EDGES, KNOWN)))
    assert (score.sent, score.unique, score.cached) == (150, 90, 60)
    assert (score.generated, score.padding, score.forward_passes) == (19, 8, 18)
    assert (score.dependency_s, score.edges, score.num_questions) == (0.5, 2 / 4, 4)
    assert (score.edge_pairs, score.known_pairs) == (EDGES, KNOWN)
    # q1 -> q2 is right; q3 -> q2 is q2 -> q3 the other way round; two of three known ones are missing.
    assert (score.edge_precision, score.edge_recall, score.edge_turned) == (
        0.5,
        pytest.approx(1 / 3),
        0.5,
    )


def test_a_group_without_dependencies_by_hand() -> None:
    score = score_group(group_run("g", 4))
    assert (score.sent, score.cached, score.generated, score.padding) == (100, 40, 12, 5)
    assert (score.forward_passes, score.dependency_s, score.edges) == (11, 0, 0)
    assert (score.edge_pairs, score.known_pairs, score.edge_precision) == ((), None, None)
    unknown = score_group(group_run("g", 4, found("g", EDGES, None)))
    assert (unknown.edges, unknown.known_pairs, unknown.edge_recall) == (0.5, None, None)


def test_a_cell_by_hand() -> None:
    """Groups of unequal size: questions count alike, wherever they stand."""
    rows = [
        row("g", "q1"),
        row("g", "q2", "Rome", kind="two_hop"),
        row("g", "q3", "the Oslo.", well_formed=False, notes=("no_outline", "in_one_go")),
        row("h", "q1", "Oslo Fjord", kind="two_hop", guess=0.5, notes=("no_outline",)),
        row("h", "q2", ""),
    ]
    runs = (group_run("g", 3, found("g", EDGES, KNOWN, fallback="no list")), group_run("h", 2))
    scores = scored(rows, run_record(*runs, totals_by_role={"answerer": ledger(9, generated=24)}))
    values = {name: metric.value for name, metric in scores.metrics.items()}
    assert values["em"] == pytest.approx(2 / 5)  # q1 and, without article and mark, q3 of g
    assert values["em_strict"] == pytest.approx(1 / 5)  # q3 was not well formed
    assert values["f1"] == pytest.approx((1 + 0 + 1 + 2 / 3 + 0) / 5)
    assert values["well_formed"] == pytest.approx(4 / 5)
    assert values["guess"] == pytest.approx(0.3)
    assert values["sent"] == 125
    assert values["forward_passes"] == (18 + 11) / 2
    assert values["dependency_s"] == 0.25
    assert values["padding"] == (8 + 5) / 2
    assert values["edges"] == pytest.approx((2 / 3 + 0) / 2)
    # Of groups without edges there is no precision: one group counts, not two.
    assert (values["edge_precision"], scores.metrics["edge_precision"].n) == (0.5, 1)
    assert (scores.metrics["em"].n, scores.metrics["sent"].n) == (5, 2)
    assert scores.by_kind["two_hop"]["f1"].value == pytest.approx(1 / 3)
    assert scores.by_kind["look_up"]["em"].n == 3
    assert list(scores.by_kind) == ["look_up", "two_hop"]
    assert scores.fallbacks == {"no list": 1}
    assert scores.noted == {"no_outline": 2, "in_one_go": 1}
    assert scores.throughput is not None
    assert scores.throughput.model_dump() == {
        **{"makespan_s": 4.0, "groups_in_flight": 3, "num_groups": 2, "num_questions": 5},
        "generated_tokens": 24,
    }
    assert [question.question for question in scores.questions] == ["q1", "q2", "q3", "q1", "q2"]
    assert (scores.identity.code, scores.cell, scores.judge) == ("c", {"dataset": "d"}, None)


def test_what_did_not_fit_is_told_and_a_resumed_run_has_no_throughput() -> None:
    left_out = (LeftOut(group="x", num_questions=3, reason="too long"),)
    run = run_record(group_run("g", 1), num_resumed=1, left_out=left_out)
    scores = scored([row("g", "q1")], run)
    assert scores.throughput is None
    assert scores.left_out == left_out
    fresh = scored([row("g", "q1")], run_record(group_run("g", 1)))
    assert fresh.throughput is not None
    assert fresh.throughput.generated_tokens == 0


def test_a_resumed_run_has_the_scores_of_one_that_was_not() -> None:
    """All but what it did in its makespan: what a disturbed run is held to."""
    resumed, fresh = (
        plain(scored([row("g", "q1")], run_record(group_run("g", 1), num_resumed=n)).model_dump())
        for n in (1, 0)
    )
    assert resumed == fresh


def test_a_guess_is_shown_where_it_is_known_of_every_question() -> None:
    rows = [row("g", "q1"), row("g", "q2", guess=None)]
    assert "guess" not in scored(rows, run_record(group_run("g", 2))).metrics
    rows = [row("g", "q1"), row("g", "q2", guess=0.75)]
    assert scored(rows, run_record(group_run("g", 2))).metrics["guess"].value == 0.5


def test_metrics_have_intervals_over_groups_on_their_scales() -> None:
    """Shares inside 0 to 1, grades inside 1 to 5, amounts above zero; of one group none of amounts."""
    assert (bounds_of("em"), bounds_of("judge_score"), bounds_of("edge_recall")) == (
        (0, 1),
        (1, 5),
        (0, 1),
    )
    amounts = (
        "sent",
        "unique",
        "cached",
        "generated",
        "padding",
        "forward_passes",
        "dependency_s",
        "edges",
    )
    assert [bounds_of(name) for name in amounts] == [None] * 8
    rows = [row(name, "q", "Oslo" if name < "d" else "Rome") for name in "abcde"]
    scores = scored(rows, run_record(*(group_run(name, 1) for name in "abcde")))
    em = scores.metrics["em"]
    assert em == Metric(**mean_interval([1, 1, 1, 0, 0], "abcde", bounds=(0, 1))._asdict(), n=5, groups=5)
    assert (scores.metrics["sent"].low, scores.metrics["sent"].high) == (100, 100)
    alone = scored([row("g", "q1"), row("g", "q2")], run_record(group_run("g", 2))).metrics
    assert (alone["em"].low, alone["em"].high, alone["em"].groups, alone["em"].n) == (0, 1, 1, 2)
    assert (alone["sent"].low, alone["sent"].high) == (None, None)


def test_answers_and_run_are_of_the_same_groups() -> None:
    with pytest.raises(UserError, match="different groups"):
        scored([row("g", "q1")], run_record(group_run("g", 1), group_run("h", 1)))
    with pytest.raises(UserError, match="different groups"):
        scored([row("g", "q1"), row("h", "q1")], run_record(group_run("g", 2)))


def judged(*verdicts: Verdict) -> JudgeRecord:
    return JudgeRecord.model_construct(
        settings={"model": "j"}, prompt_version="2", num_missing=1, verdicts=verdicts
    )


def test_a_judges_grades_stand_beside_the_scores() -> None:
    grades = {"score": 4}
    verdicts = (
        Verdict(group="g", question="q1", rubric="single", grades=grades),
        Verdict(group="g", question="q2", rubric="single", grades=None, problem="no verdict"),
    )
    rows = [row("g", "q1"), row("g", "q2")]
    scores = scored(rows, run_record(group_run("g", 2)), judged(*verdicts))
    # A missing verdict is no grade: one counts.
    assert (scores.metrics["judge_score"].value, scores.metrics["judge_score"].n) == (4, 1)
    assert scores.judge == {"model": "j", "prompt_version": "2", "num_missing": 1, "num_verdicts": 2}
    with pytest.raises(UserError, match="of other answers"):
        scored(rows, run_record(group_run("g", 2)), judged(*reversed(verdicts)))


# ----- one answer -----


def test_a_choice_is_compared_by_letters_under_every_scorer() -> None:
    choice = {"answer_type": "choice", "golds": ("A C",)}
    right = score_answer(row("g", "q", "CA", **choice), "overlap")
    assert (right.em, right.more["rouge_l"]) == (1, 1)
    wrong = score_answer(row("g", "q", "A", **choice), "overlap")
    assert (wrong.em, wrong.more["rouge_l"]) == (0, 0)


def test_an_empty_answer_is_never_right() -> None:
    """Error 12: an empty answer that normalises to the same nothing as a gold counted as right."""
    for answer in ("", "  \n"):
        score = score_answer(row("g", "q", answer, golds=("the", "a")), "squad")
        assert (score.em, score.f1, score.lenient, score.em_strict) == (0, 0, 0, 0)


def test_no_answer_has_to_be_said() -> None:
    unanswerable = {"golds": (NO_ANSWER,)}
    said = score_answer(row("g", "q", "No answer.", **unanswerable), "squad_v2")
    assert (said.em, said.f1, said.more["no_answer_em"]) == (1, 1, 1)
    for answer in ("", ".", "the"):
        silent = score_answer(row("g", "q", answer, **unanswerable), "squad_v2")
        assert (silent.em, silent.f1, silent.more["no_answer_em"]) == (0, 0, 0)
        # What does not apply to the question stays apart, and is not 0.
        assert silent.more["has_answer_f1"] is None


def test_what_a_metric_says_of_the_golds_alone_stays() -> None:
    """QuAC's human F1 is of the people's answers, whatever the model says."""
    golds = ("in the old mill", "the old mill", "in the mill")
    full = score_answer(row("g", "q", "in the old mill", golds=golds), "quac")
    empty = score_answer(row("g", "q", "", golds=golds), "quac")
    assert full.more["human_f1"] == empty.more["human_f1"]
    assert full.more["human_f1"]
    assert empty.f1 == 0


def test_drops_golds_are_spans() -> None:
    spans = (("Oslo", "Rome"),)
    score = score_answer(row("g", "q", "Rome; Oslo", gold_spans=spans), "drop")
    assert score.em == 1
    # Without spans each gold is an answer of one span.
    assert score_answer(row("g", "q", "Rome", golds=("Oslo", "Rome")), "drop").em == 1


def test_strict_em_is_em_of_the_well_formed() -> None:
    assert score_answer(row("g", "q"), "squad").em_strict == 1
    assert score_answer(row("g", "q", well_formed=False), "squad").em_strict == 0
    assert score_answer(row("g", "q", well_formed=False), "squad").em == 1


def test_found_edges_by_hand() -> None:
    """Three found, two known: one right, one the other way round."""
    found, known = [("a", "b"), ("c", "b"), ("d", "a")], [("a", "b"), ("b", "c")]
    scores = edge_scores(found, known)
    assert scores == {
        "precision": pytest.approx(1 / 3),
        "recall": 0.5,
        "f1": pytest.approx(2 / 5),
        "turned": pytest.approx(1 / 3),
    }
    assert edge_scores([], []) == dict.fromkeys(scores)
    assert edge_scores(found, []) == {"precision": 0, "recall": None, "f1": 0, "turned": 0}


def test_drop_passes_over_a_gold_whose_first_span_is_blank() -> None:
    """As the official script does; the last span says nothing of it."""
    assert score_answer(row("g", "q", "Oslo", gold_spans=((" ", "Oslo"),)), "drop").f1 == 0
    assert score_answer(row("g", "q", "Oslo", gold_spans=(("Oslo", ""),)), "drop").f1 == 0.5
