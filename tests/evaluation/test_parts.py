"""Answers made of parts: how they are read, and what is counted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.evaluation.test_metrics import answer_row
from tests.evaluation.test_score import group_run, run_record, scored

from branchwise.evaluation.metrics.parts import Part, parts_of, parts_scores
from branchwise.evaluation.metrics.retrieval import retrieval_scores
from branchwise.evaluation.rows import score_row
from branchwise.evaluation.scales import bounds_of
from branchwise.evaluation.score import score_answer

GOLD = ("Mara: Ashton", "Mara: baker", "Ben Hale: Kirkby", "Ben Hale: cook")
FORMS = {
    "blocks": "Two people.####Mara: Ashton, baker####Ben Hale: Kirkby, cook####%%%% Anna: miller",
    "real blocks": "Two.\n\n#### Mara：Ashton，baker。\n\n####1. Ben Hale: Kirkby\ncook\n####%%%%\nx",
    "sentences": "####**Mara**: She lives in Ashton. A baker.####Ben Hale: In Kirkby; is a cook.####%%%%",
    "a line of its own": "####Mara\nAshton, baker####Ben Hale\nKirkby, cook",
    "no end": "####Mara: Ashton, baker####Ben Hale: Kirkby, cook",
    "two rounds": "####Mara: Ashton, baker####%%%% Eve: x.####Ben Hale: Kirkby, cook####%%%% Eve: x",
    "points": "Both:\n1. Mara: Ashton, baker\n2. Ben Hale: Kirkby; a cook",
    "several lines a point": "1. Mara: Ashton\nbaker\n2) **Ben Hale**: Kirkby\ncook",
    "lines": "Here they are.\nMara: Ashton, baker\nBen Hale: Kirkby, cook",
    "bullets": "- Mara: Ashton, baker\n- Ben Hale: Kirkby, cook",
    "a list": "Mara: Ashton, baker; Ben Hale: Kirkby; cook",
    "a list with an end": "Mara: Ashton, baker; Ben Hale: Kirkby, cook####%%%% Eve: x",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_parts(form: str) -> None:
    scores = parts_scores(FORMS[form], [GOLD])
    assert scores == dict.fromkeys(("em", "f1", "lenient", "recall", "precision", "order"), 1.0)


def test_parts_are_counted_one_to_one_by_hand() -> None:
    said = "####Ben Hale: cook, miller####Mara: a baker in Ashton####Eve: cook####"
    # Of four items cook and, in one item, baker or Ashton are found; titles stand the other way round.
    assert parts_scores(said, [GOLD]) == {
        **{"recall": 2 / 4, "precision": 2 / 4, "f1": 0.5, "em": 0.0, "lenient": 0.0, "order": 0.0}
    }
    one = parts_scores("Mara: baker", [GOLD])
    assert (one["recall"], one["precision"], one["f1"]) == (0.25, 1.0, pytest.approx(0.4))
    assert (one["em"], one["lenient"], one["order"]) == (0.0, 1.0, None)


def test_a_part_is_not_found_under_another_title_or_inside_of_a_word() -> None:
    assert parts_scores("Ben Hale: baker; Mara: cook", [GOLD])["recall"] == 0.0
    assert parts_scores("Mara: Ashtonville; Ben Hale: cookery", [GOLD])["recall"] == 0.0
    assert parts_scores("Ben: cook", [GOLD])["recall"] == 0.0


def test_a_greedy_match_would_miss_one() -> None:
    """The item that holds both golds must be left to the one that stands nowhere else."""
    assert parts_scores("A: red and blue, red", [("A: red", "A: blue")])["recall"] == 1.0
    assert parts_scores("A: red, red and blue", [("A: red", "A: blue")])["recall"] == 1.0


def test_numbers_are_not_cut_and_titles_of_one_letter_stay_apart() -> None:
    assert parts_of("Ann: 3.62, at 10:30. 1,000 won")[0] == Part(("ann",), ("362",))
    assert [part.item for part in parts_of("Ann: 3.62, at 10:30. 1,000 won")[1:]] == [
        ("at", "1030"),
        ("1000", "won"),
    ]
    assert [part.title for part in parts_of("A: x; The: y; B: z")] == [("a",), ("the",), ("b",)]


def test_without_spans_the_whole_answer_gives_the_parts() -> None:
    row = answer_row("Ben: cook; Mara: baker", "####Mara: baker####Ben: cook####%%%% Both work.")
    scored = score_answer(row, "parts")
    assert (scored.em, scored.f1, scored.more["recall"], scored.more["order"]) == (1, 1, 1, 0)
    spans = answer_row("Ben: cook", "not this", gold_spans=(("Mara: baker",), ("Ben: cook",)))
    assert score_answer(spans, "parts").em == 1.0
    untitled = score_answer(answer_row("Kirkby, Ashton", "Ashton, Kirkby"), "parts")
    assert (untitled.em, untitled.more["order"]) == (1, None)


def test_an_answer_without_a_word_is_wrong_and_has_no_order() -> None:
    for empty in ("", "\n", "####", "####%%%% Mara: Ashton", "......"):
        scored = score_answer(answer_row(empty, "x", gold_spans=(GOLD,)), "parts")
        assert (scored.em, scored.f1, scored.lenient) == (0, 0, 0)
        assert scored.more == {"recall": 0.0, "precision": 0.0, "order": None}


def test_other_languages_are_cut_into_their_segments() -> None:
    gold = [("成本：三万元", "居民意见：商户赞成")]
    said = "####成本：约需三万元。####居民意见：大多数商户赞成，####%%%%结论"
    assert parts_scores(said, gold, "zh")["em"] == 1.0
    assert parts_scores(said, gold)["em"] == 0.0


def test_rows_by_themselves_are_scored() -> None:
    assert score_row({"prediction": "A: x", "golds": [["A: x", "B: y"]]}, "parts")["recall"] == 0.5
    assert score_row({"prediction": "A: x", "golds": ["A: x"]}, "parts")["em"] == 1.0
    with pytest.raises(ValueError, match="list of spans"):
        score_row({"prediction": "A: x", "golds": [[3]]}, "parts")
    assert {bounds_of(name) for name in ("recall", "precision", "order")} == {(0.0, 1.0)}


def test_a_cell_leaves_out_orders_that_there_are_not() -> None:
    answers = {"a": "Mara: baker; Ben Hale: cook", "b": "Ben Hale: cook; Mara: baker", "c": "Mara: baker"}
    rows = [
        answer_row(answer, "x", gold_spans=(GOLD,)).model_copy(update={"group": name})
        for name, answer in answers.items()
    ]
    run = run_record(*(group_run(name, 1) for name in answers))
    metrics = scored(rows, run, scorer="parts").metrics
    assert (metrics["order"].value, metrics["order"].n) == (0.5, 2)
    assert (metrics["recall"].value, metrics["recall"].n) == (pytest.approx(5 / 12), 3)


SIGNS = st.text(alphabet="#%ab :：.,;\n1。", max_size=60)


@given(st.one_of(st.text(), SIGNS), st.one_of(st.text(), SIGNS), st.sampled_from(["en", "zh", "ar"]))
def test_any_text_has_scores(said: str, gold: str, language: str) -> None:
    for golds in ([gold], [[gold, said]]):
        scores = parts_scores(said, golds, language)
        assert all(value is None or 0 <= value <= 1 for value in scores.values())
        assert scores["em"] <= scores["lenient"]
    if parts_of(said, language):
        assert parts_scores(said, [said], language)["em"] == 1.0


TITLES = st.sampled_from(["Mara", "Ben Hale", "Eve", "Jo"])
BODIES = st.lists(st.sampled_from(["Ashton", "a baker", "cook", "in Kirkby"]), max_size=4)


BLOCKS = st.lists(st.tuples(TITLES, BODIES), max_size=6)


@given(BLOCKS, st.randoms(use_true_random=False))
def test_the_order_of_blocks_changes_the_order_alone(blocks, random) -> None:
    def scores(blocks) -> dict[str, float | None]:
        text = "Two.####" + "".join(f"{title}: {', '.join(items)}####" for title, items in blocks)
        found = parts_scores(text + "%%%% Mara: cook", [GOLD])
        assert found["order"] is None or 0 <= found["order"] <= 1
        return {name: value for name, value in found.items() if name != "order"}

    assert scores(blocks) == scores(random.sample(blocks, len(blocks)))


NAMED = "####Ann Lee: 2.1, no####Bo Kay: 2.5, yes####Cy Fox: 3.0, no####%%%% "


@pytest.mark.parametrize(
    ("conclusion", "em"),
    [
        ("The student is found.\nname: Bo Kay", 1.0),
        ("name: Ann Lee", 0.0),
        ("name: Bo Kay, Ann Lee", 0.0),
        ("name: Bo Kay and Cy Fox", 0.0),
        ("", 0.0),
        ("wait, Ann Lee\n####Bo Kay: again####%%%%\nname: **Bo Kay**", 1.0),
    ],
)
def test_retrieval_counts_what_stands_behind_the_end_of_the_steps(conclusion: str, em: float) -> None:
    assert retrieval_scores(NAMED + conclusion, ["Bo Kay"])["em"] == em


def test_naming_every_student_on_the_way_is_not_right() -> None:
    scores = retrieval_scores(NAMED, ["Bo Kay"])
    assert (scores["em"], scores["f1"], scores["lenient"]) == (0.0, 0.0, 0.0)
