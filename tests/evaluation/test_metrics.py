"""Metrics against the official scorer's own verdicts."""

import json
from pathlib import Path

import pytest

from branchwise.evaluation.choice import choice_scores
from branchwise.evaluation.metrics import scores

GOLDEN = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "golden/squad.jsonl").read_text("utf-8").splitlines()
]


def test_every_golden_row_gets_the_official_verdict() -> None:
    """All but empty predictions: those are wrong here, whatever normalisation makes of a gold."""
    differing = []
    for row in GOLDEN:
        mine = scores(row["prediction"], row["golds"])
        if (mine["em"], mine["f1"]) != pytest.approx((row["em"], row["f1"]), abs=1e-12):
            differing.append(row)
    assert [row["prediction"] for row in differing] == [""]
    assert len(GOLDEN) >= 400


@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_answer_is_wrong_under_every_metric(empty: str) -> None:
    """Error 13 of the published systems: an empty answer counted as contained in every gold."""
    for golds in (["the"], ["Oslo"], ["", "x"]):
        assert set(scores(empty, golds).values()) == {0.0}


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
    assert scores(prediction, [gold])["lenient"] == right


def test_letters_are_compared_as_letters() -> None:
    """SQuAD's normalisation drops the article A; a choice of A must still be right."""
    assert choice_scores("A", ["A"])["em"] == 1.0
    assert choice_scores("CA", ["AC"])["em"] == 1.0
    assert choice_scores("A", ["AC"])["em"] == 0.0
    assert choice_scores("", ["A"])["em"] == 0.0


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
        scores(predictions.get(qa["id"], ""), [answer["text"] for answer in qa["answers"]]) for qa in rows
    ]
    assert 100 * sum(r["em"] for r in results) / len(rows) == pytest.approx(em, abs=1e-9)
    assert 100 * sum(r["f1"] for r in results) / len(rows) == pytest.approx(f1, abs=1e-9)
