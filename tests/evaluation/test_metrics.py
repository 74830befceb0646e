"""Metrics against the official scorers' own verdicts."""

import json
from pathlib import Path

import pytest

from branchwise.data.types import NO_ANSWER
from branchwise.evaluation.metrics import PRIMARY, SCORERS
from branchwise.evaluation.metrics.choice import choice_scores
from branchwise.evaluation.metrics.cmrc import cmrc_scores, mixed_segments
from branchwise.evaluation.metrics.containment import containment_scores, lemmas_by
from branchwise.evaluation.metrics.drop import drop_scores, predicted_spans, spans_of
from branchwise.evaluation.metrics.edges import edge_scores
from branchwise.evaluation.metrics.overlap import overlap_scores
from branchwise.evaluation.metrics.quac import quac_scores
from branchwise.evaluation.metrics.retrieval import final_answer, retrieval_scores
from branchwise.evaluation.metrics.squad import squad_scores
from branchwise.evaluation.metrics.squad_v2 import SAYS_NO_ANSWER, squad_v2_scores
from branchwise.evaluation.rows import score_row
from branchwise.evaluation.score import score_answer
from branchwise.results import AnswerRow, Tokens

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize(
    ("metric", "at_least", "verdicts"),
    [
        ("squad", 400, ("em", "f1")),
        ("squad_v2", 400, ("em", "f1")),
        ("cmrc", 400, ("em", "f1")),
        ("hotpotqa", 400, ("em", "f1")),
        ("triviaqa", 400, ("em", "f1")),
        ("drop", 500, ("em", "f1")),
        ("quac", 400, ("f1", "human_f1")),
    ],
)
def test_every_golden_row_gets_the_official_verdict(
    metric: str, at_least: int, verdicts: tuple[str, ...]
) -> None:
    # Error 5: two definitions of exact match in one report.
    rows = [json.loads(line) for line in (GOLDEN / f"{metric}.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) >= at_least
    for row in rows:
        scores = score_row({k: v for k, v in row.items() if k not in verdicts}, metric)
        assert {k: scores[k] for k in verdicts} == pytest.approx(
            {k: row[k] for k in verdicts}, abs=1e-12
        ), row


def answer_row(answer: str, *golds: str, **more) -> AnswerRow:
    zero = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)
    fields = {"answer_type": "span", "well_formed": True, **more}
    return AnswerRow(
        **{
            "group": "g",
            "question": "q",
            "text": "?",
            "kind": "k",
            "guess": None,
            "asks": (0,),
        },
        **{"golds": golds, "raw": answer, "answer": answer, "tokens": zero, "start_s": 0, "end_s": 0},
        **fields,
    )


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_answer_is_wrong_under_every_metric(scorer: str, empty: str) -> None:
    """It was contained in every gold."""
    # Error 13: an empty answer counts as right.
    for golds in (["the"], ["Oslo"], ["the", "x"]):
        score = score_answer(answer_row(empty, *golds), scorer)
        assert (score.em, score.f1, score.lenient, score.em_strict) == (0, 0, 0, 0)
        assert set(score.more.values()) - {score.more.get("human_f1")} <= {0.0, None}


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_gives_its_primary_metric(scorer: str) -> None:
    for more in ({}, {"answer_type": "choice"}):
        scored = score_answer(answer_row("A", "A", **more), scorer)
        found = scored.more | {"em": scored.em, "f1": scored.f1}
        assert found[PRIMARY[scorer]] is not None
    assert set(PRIMARY) == set(SCORERS)


def test_squad_v2_tells_the_two_sorts_of_questions_apart() -> None:
    """An unanswerable question has no gold; its scores are in no average of the answerable ones."""
    has, none = squad_v2_scores("a red fox", ["Red fox", "the"]), squad_v2_scores("", [])
    assert (has["em"], has["has_answer_em"], has["has_answer_f1"], has["no_answer_em"]) == (1, 1, 1, None)
    assert (none["em"], none["f1"], none["lenient"], none["no_answer_em"]) == (1, 1, 1, 1)
    assert (none["has_answer_em"], none["has_answer_f1"]) == (None, None)
    assert squad_v2_scores("fox", [])["f1"] == squad_v2_scores("", ["fox"])["f1"] == 0.0
    # A gold that normalisation empties does not count, but the question is one that has an answer.
    assert squad_v2_scores("", ["the"])["has_answer_em"] == 1.0


@pytest.mark.parametrize("said", ["no answer", "No answer.", "UNANSWERABLE", "There is no answer."])
def test_in_a_cell_no_answer_is_said_and_silence_is_wrong(said: str) -> None:
    right = score_answer(answer_row(said, NO_ANSWER), "squad_v2")
    assert (right.em, right.f1, right.lenient, right.more["no_answer_em"]) == (1, 1, 1, 1)
    wrong = score_answer(answer_row(said, "Oslo"), "squad_v2")
    assert (wrong.em, wrong.f1, wrong.more["has_answer_em"], wrong.more["no_answer_em"]) == (
        0,
        0,
        0,
        None,
    )
    for silent in ("", " ", ".", "the", "Oslo", "no answer but Oslo"):
        assert score_answer(answer_row(silent, NO_ANSWER), "squad_v2").em == 0
    # By the authors' script these words are an answer like any other.
    assert score_row({"prediction": said, "golds": []}, "squad_v2")["em"] == 0
    assert all(SAYS_NO_ANSWER) and "none" not in SAYS_NO_ANSWER


def test_cmrc_counts_the_longest_run_of_segments() -> None:
    assert mixed_segments("在iPad上，U.S.的3.5") == ["在", "ipad", "上", "u.s", ".", "的", "3.5"]
    # Bags would give 1; the longest run in order is two of four.
    assert cmrc_scores("北京上海", ["上海北京"])["f1"] == 0.5
    assert cmrc_scores("《北京》。", ["北京"])["em"] == 1.0
    # Their list is closed: the Western full stop is no mark of it.
    assert cmrc_scores("北京.", ["北京"])["em"] == 0.0
    assert cmrc_scores("。", ["北京"]) == {"em": 0.0, "f1": 0.0, "lenient": 0.0}


def test_strict_and_tolerant_parser_stand_side_by_side() -> None:
    # Error 5: two definitions of exact match in one report.
    loose = score_answer(answer_row("Oslo", "Oslo", well_formed=False), "squad")
    assert (loose.em, loose.em_strict) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("prediction", "gold", "right"),
    [
        ("in the city of Oslo", "Oslo", 1.0),
        ("Oslo", "city of Oslo", 1.0),
        ("art", "party", 0.0),
        ("the", "Oslo", 0.0),
        ("12", "112", 0.0),
    ],
)
def test_lenient_is_containment_of_words(prediction: str, gold: str, right: float) -> None:
    for scorer in ("squad", "hotpotqa", "triviaqa"):
        assert SCORERS[scorer](prediction, [gold])["lenient"] == right


def test_letters_are_compared_as_letters() -> None:
    """SQuAD's normalisation drops the article A; a choice of A must still be right."""
    # Error 15: keys of several letters scored on one.
    assert choice_scores("A", ["A"])["em"] == 1.0
    assert choice_scores("CA", ["AC"])["em"] == 1.0
    assert choice_scores("The answer is (B).", ["A, B", "B"])["em"] == 1.0
    assert choice_scores("A", ["AC"])["em"] == 0.0
    assert choice_scores("", ["A"])["em"] == 0.0
    assert choice_scores("The man", ["E"])["em"] == 0.0
    # A choice in any data set is scored by letters, whatever else the set is scored by.
    assert score_answer(answer_row("A", "A", answer_type="choice"), "drop").em == 1.0


def test_drop_aligns_spans_and_reads_the_authors_answers() -> None:
    golds = [["Anna Lee", "Bo"], ["Bo"]]
    assert drop_scores(["Bo", "Anna Lee"], golds)["em"] == 1.0
    assert drop_scores(["Bo"], golds)["em"] == 1.0
    assert drop_scores(["Anna"], golds)["f1"] == pytest.approx(0.33)
    assert drop_scores("12.0", [["12"]])["em"] == 1.0
    assert predicted_spans(" Anna Lee;Bo ; ") == ["Anna Lee", "Bo"]
    date = {"number": "", "spans": [], "date": {"day": "3", "month": "May", "year": "1808"}}
    assert spans_of(date) == ["3 May 1808"]
    assert spans_of({"number": "", "spans": [], "date": {}}) == [""]
    blank = [{"number": "", "spans": [], "date": {}}, {"number": 3, "date": None, "spans": None}]
    assert score_row({"prediction": "3", "golds": blank}, "drop")["em"] == 1.0
    assert score_row({"prediction": "x", "golds": [{"spans": ["", "x"]}]}, "drop")["em"] == 0.0
    ties = {"prediction": ["w x", "p q"], "gold": ["w y z", "p r", "m", "n"]}
    assert score_row(ties, "drop")["f1"] == 0.22
    spans = answer_row("Bo; Anna Lee", "Anna Lee; Bo", gold_spans=(("Anna Lee", "Bo"),))
    assert score_answer(spans, "drop").em == 1.0


def test_quac_leaves_out_questions_on_which_people_disagree() -> None:
    scores = quac_scores("red", ["red", "blue", "a green house"])
    assert scores["human_f1"] == 0.0
    assert (scores["counted_f1"], scores["heq"]) == (None, None)
    assert quac_scores("red car", ["red car", "the red car"])["heq"] == 1.0
    assert quac_scores("CANNOTANSWER", ["CANNOTANSWER", "x", "CANNOTANSWER"])["f1"] == 1.0


def test_overlap_of_english_and_chinese() -> None:
    # Error 17: BLEU on characters for every language.
    same = overlap_scores("the cat sat on the mat", ["the cat sat on the mat"])
    assert all(same[k] == pytest.approx(1.0) for k in ("bleu4", "rouge1", "rouge2", "rouge_l"))
    # A share is no more than all of it, not by the last bit of a float either.
    words = "the cat sat on the mat and looked at the dog".split()
    texts = [" ".join(words[:count]) for count in range(1, len(words) + 1)]
    assert max(overlap_scores(text, [text])["bleu4"] for text in texts) == 1.0
    # Bags overlap fully, bigrams and order do not.
    mixed = overlap_scores("mat the on sat cat the", ["the cat sat on the mat"])
    assert mixed["rouge1"] == pytest.approx(1.0)
    assert mixed["rouge2"] < 0.5 > mixed["bleu4"]
    chinese = overlap_scores("患者应立即手术治疗。", ["患者应立即手术治疗"], "zh")
    assert chinese["rouge_l"] == pytest.approx(1.0)
    assert chinese["bleu4"] > 0.8
    assert overlap_scores("今天天气很好", ["患者应立即手术治疗"], "zh")["rouge1"] == 0.0
    # The language is the data set's: golds that mix scripts are not cut in two ways.
    mixed_golds = overlap_scores("北京大学 Beijing", ["Beijing", "北京大学"], "zh")
    assert 0 < mixed_golds["rouge_l"] < 1


def test_containment_is_a_run_of_lemmas() -> None:
    assert lemmas_by()
    assert containment_scores("They are lawyers in town", ["lawyer"])["contains"] == 1.0
    assert (
        containment_scores("National Company of Broadcasting", ["Broadcasting Company"])["contains"]
        == 0.0
    )
    assert containment_scores("anything", ["[MASK]"])["contains"] == 0.0
    assert containment_scores("anything", ["..."])["contains"] == 0.0


def test_retrieval_reads_the_final_answer_alone() -> None:
    text = "Lily Wilson has 2.1.\nMark Hill has 2.5.\nname: **Mark Hill**"
    assert final_answer(text) == "Mark Hill"
    assert retrieval_scores(text, ["Mark Hill"])["em"] == 1.0
    assert retrieval_scores(text, ["Lily Wilson"])["em"] == 0.0
    assert final_answer("\n") == ""


def test_edges_have_a_direction() -> None:
    # Error 18: dependency edges reversed, thresholds that filter nothing.
    scores = edge_scores([("a", "b"), ("c", "b"), ("d", "a")], [("a", "b"), ("b", "c")])
    assert scores["precision"] == pytest.approx(1 / 3)
    assert scores["recall"] == pytest.approx(1 / 2)
    assert scores["turned"] == pytest.approx(1 / 3)
    assert edge_scores([], [])["precision"] is None


@pytest.mark.parametrize(
    ("row", "metric", "reason"),
    [
        ([], "squad", "object with prediction"),
        ({"prediction": "x"}, "squad", "neither golds nor gold"),
        ({"prediction": 3, "golds": ["x"]}, "squad", "a text"),
        ({"prediction": "x", "golds": [3]}, "squad", "texts"),
        ({"prediction": "x", "golds": []}, "squad", "empty"),
        ({"prediction": 3, "golds": []}, "squad_v2", "a text"),
        ({"prediction": "x", "golds": []}, "cmrc", "empty"),
        ({"prediction": "x", "golds": [[3]]}, "drop", "list of spans"),
        ({"prediction": ["x"], "golds": [["a", "b"]]}, "edges", "pairs"),
        ({"prediction": "4", "golds": [{"date": "4"}]}, "drop", "a date an object"),
        ({"prediction": "4", "golds": [{"spans": 5}]}, "drop", "spans are a list"),
        ({"prediction": "4", "golds": [{}]}, "drop", "an object with number"),
    ],
)
def test_a_row_of_another_form_is_refused(row, metric: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        score_row(row, metric)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "em", "f1"),
    [
        ("bert-ensemble", 86.20624408703878, 92.19557978351145),
        ("logreg", 40.14191106906339, 50.98153647324461),
    ],
)
def test_published_predictions_get_their_published_totals(
    real_data: Path, name: str, em: float, f1: float
) -> None:
    (file,) = (real_data / "squad/predictions").glob(f"*{name}*.json")
    predictions = json.loads(file.read_text())
    dev = json.loads((real_data / "squad/dev-v1.1.json").read_text())
    rows = [qa for a in dev["data"] for p in a["paragraphs"] for qa in p["qas"]]
    results = [
        squad_scores(predictions.get(qa["id"], ""), [answer["text"] for answer in qa["answers"]])
        for qa in rows
    ]
    assert 100 * sum(r["em"] for r in results) / len(rows) == pytest.approx(em, abs=1e-9)
    assert 100 * sum(r["f1"] for r in results) / len(rows) == pytest.approx(f1, abs=1e-9)
