"""Numbers of tables by hand: made scores and times whose means, differences and p-values are known."""

import math
from pathlib import Path

import pytest

from branchwise.config import Cell, Experiment
from branchwise.config.load import parse_experiment
from branchwise.config.timing import contest_of
from branchwise.evaluation.scales import metric_of
from branchwise.evaluation.score import score_cell
from branchwise.evaluation.statistics import Difference, Interval, mean_interval
from branchwise.reporting import tables
from branchwise.reporting.comparing import (
    Comparison,
    compare,
    compare_all,
    corrected,
    detectable,
    family_size,
    primary_measure,
    wall_measure,
)
from branchwise.reporting.frames import Results, family, metric_of_amounts, one_line, ordered, title
from branchwise.reporting.numbers import above_zero, p_value, with_interval
from branchwise.reporting.times import Times
from branchwise.results import AnswerRow, GroupDependencies, GroupRun, Identity, RunRecord, Scores, Tokens
from branchwise.times import GroupTime, TimedRun, TimesRecord

TOKENS = Tokens(sent=40, unique=10, cached=30, generated=6, padding=2)
FINDING = Tokens(sent=20, unique=20, cached=0, generated=4, padding=0)
EMPTY = Identity(settings={}, code="")
SIZES = {"a": 1, "b": 2, "c": 3, "d": 2}
RIGHT = {  # of each group; unequal sizes
    "batch": {"a": 0, "b": 0, "c": 0, "d": 2},
    "sequential": {"a": 1, "b": 2, "c": 3, "d": 2},
    "collab_heuristic": {"a": 0, "b": 0, "c": 3, "d": 1},
}
WALLS = {
    "batch": {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.2},
    "sequential": {"a": 0.2, "b": 0.4, "c": 0.6, "d": 0.4},
    "collab_heuristic": {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.2},
}


def scores_of(cell: Cell, right: dict[str, int], without: str = "") -> Scores:
    rows, runs = [], []
    for group, size in SIZES.items():
        if group == without:
            continue
        for place in range(size):
            answer = "Oslo" if place < right[group] else "Rome"
            rows.append(
                AnswerRow(
                    **{"group": group, "question": f"q{place}", "text": "?", "answer_type": "span"},
                    **{"golds": ("Oslo",), "raw": answer, "answer": answer, "well_formed": place == 0},
                    **{"asks": (0,), "tokens": TOKENS, "start_s": 0.0, "end_s": 1.0},
                    kind="two_hop" if place else "look_up",
                    guess=0.25,
                )
            )
        found = GroupDependencies(
            **{"group": group, "generator": "heuristic", "candidates": (), "edges": (("q0", "q1"),)},
            **{"known": (("q0", "q1"), ("q1", "q0")), "tokens": FINDING, "forward_passes": 2},
            **{"wall_s": 0.5, "fallback": "none" if group == "d" else None},
        )
        follows = cell.strategy == "collab_heuristic"
        runs.append(
            GroupRun(
                **{"id": group, "num_questions": size, "forward_passes": 3, "num_asks": 1},
                **{"tokens": TOKENS, "tokens_by_role": {}},
                dependencies=found if follows else None,
            )
        )
    run = RunRecord.model_construct(
        **{
            "cell": cell._asdict(),
            "identity": EMPTY,
            "hardware": {},
            "num_resumed": 0,
            "makespan_s": 4.0,
        },
        **{"groups_in_flight": 3, "num_groups": len(runs), "left_out": (), "groups": tuple(runs)},
        totals_by_role={"answerer": TOKENS},
    )
    return score_cell(rows, run, Identity(settings={"scorer": "squad"}, code=""))


@pytest.fixture(scope="module")
def experiment(root: Path) -> Experiment:
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g4"],
        "models": ["tiny"],
        "strategies": ["sequential", "batch", "collab_heuristic"],
        "decoders": ["tree", "hf"],
        "exclude": [{"decoder": "hf", "strategy": "collab_heuristic"}],
    }
    return parse_experiment(content, "made", root)


def times_of(walls: dict[str, float]) -> dict[str, GroupTime]:
    return {group: GroupTime(wall_s=wall, ideal_s=wall / 2) for group, wall in walls.items()}


@pytest.fixture(scope="module")
def results(experiment: Experiment) -> Results:
    scores = {cell: scores_of(cell, RIGHT[cell.strategy]) for cell in experiment.cells}
    by_cell = {cell: times_of(WALLS[cell.strategy]) for cell in experiment.cells}
    batch = Cell("worlds_two_hop_g4", "tiny", "batch", "tree")
    slower = {group: 1.5 * wall for group, wall in WALLS["batch"].items()}
    again = {batch: times_of({group: wall + 0.01 for group, wall in WALLS["batch"].items()})}
    between = {batch: times_of(WALLS["batch"]), batch._replace(decoder="hf"): times_of(slower)}
    contest = contest_of(experiment, batch.dataset, "tiny", "tree")
    assert contest is not None
    run = TimedRun(
        **{"strategy": "batch", "decoder": "tree", "group": "a", "repeat": 0, "place": 0, "wall_s": 1},
        **{"ideal_s": 1, "cpu_s": 1, "load": 0.5, "process": 1, "hardware": "a CPU"},
    )
    record = TimesRecord.model_construct(
        resolved={"tree": {"resolved_products": "packed"}, "hf": {}}, runs=(run,), num_unfit=0
    )
    return Results(experiment, scores, Times({contest: record}, by_cell, again, between))


def cell(strategy: str, decoder: str = "tree") -> Cell:
    return Cell("worlds_two_hop_g4", "tiny", strategy, decoder)


# ----- comparisons -----


def test_a_difference_by_hand(results: Results) -> None:
    """8 of 8 less 2 of 8. Groups a, b, c differ, by 1, 2, 3: 2 of 8 arrangements of signs are as far."""
    found = compare(primary_measure(results.scores), cell("sequential"), cell("batch"))
    assert found is not None
    assert (found.value, found.difference.p, found.difference.p_floor) == (0.75, 0.25, 0.25)
    assert found.at_floor
    assert (found.num_groups, found.num_units, found.num_left_out) == (4, 8, 0)
    assert (found.low, found.high) == found.difference[1:3]
    assert (found.measure.scale, found.measure.unit, found.measure.bounds) == (100, "points", (0, 1))
    # c better by 3, d worse by 1: all four arrangements are +-2 or +-4, and all are as far as 2.
    mixed = compare(primary_measure(results.scores), cell("collab_heuristic"), cell("batch"))
    assert mixed is not None
    assert (mixed.value, mixed.difference.p, mixed.at_floor) == (0.25, 1.0, False)


def test_times_are_compared_by_group_in_milliseconds(results: Results) -> None:
    measure = wall_measure(results._walls)
    found = compare(measure, cell("sequential"), cell("batch"))
    assert found is not None
    # Twice as slow in every group: .2 s of .2 s. All signs alike: 2 of 16.
    assert found.value == pytest.approx(0.2)
    assert (found.difference.p, found.num_units, found.measure.scale) == (0.125, 4, 1000)
    assert found.measure.bounds is None
    # Half a second of finding dependencies counts in every group.
    assert compare(measure, cell("collab_heuristic"), cell("batch")).value == pytest.approx(0.5)  # type: ignore


def test_only_what_both_were_asked_is_compared(experiment: Experiment) -> None:
    scores = {
        cell("sequential"): scores_of(cell("sequential"), RIGHT["sequential"], without="a"),
        cell("batch"): scores_of(cell("batch"), RIGHT["batch"], without="b"),
    }
    found = compare(primary_measure(scores), cell("sequential"), cell("batch"))
    assert found is not None
    # c and d: 5 of 5 less 2 of 5; one question of a and two of b are in one alone.
    assert (found.value, found.num_groups, found.num_units, found.num_left_out) == (0.6, 2, 5, 3)
    assert compare(wall_measure({1: {"a": 1.0}, 2: {"b": 1.0}}.__getitem__), 1, 2) is None


def test_holm_over_the_family_and_alike_answers_once(results: Results) -> None:
    """Three different comparisons would be three; hf answers as tree does, so there are two."""
    primary = [one for one, _ in results.comparisons.values()]
    assert list(results.comparisons) == [
        cell("sequential"),
        cell("sequential", "hf"),
        cell("collab_heuristic"),
    ]
    assert [one.difference.p for one in primary] == [0.25, 0.25, 1]
    assert family_size(primary) == 2
    assert corrected(primary) == [0.5, 0.5, 1]
    walls = [wall for _, wall in results.comparisons.values() if wall]
    # Times of two decoders are two measurements.
    assert family_size(walls) == 3
    assert corrected(walls) == [0.375, 0.375, 0.375]


def made(p: float, name: str) -> Comparison:
    measure = wall_measure(lambda of: {})
    return Comparison(measure, Difference(0.3, 0.1, 0.5, p, 0.001), 10, 20, 0, name)


def test_holm_by_hand() -> None:
    given = [made(0.01, "a"), made(0.04, "b"), made(0.03, "c"), made(0.01, "a")]
    assert corrected(given) == pytest.approx([0.03, 0.06, 0.06, 0.03])
    assert family_size(given) == 3


def test_what_is_detectable_is_harder_in_a_larger_family() -> None:
    """Standard error .4 / 2 t(.975, 9); times t(1 - .025 / family, 9) + t(.8, 9)."""
    error = 0.2 / 2.262157
    assert detectable(made(0.1, "a"), 1) == pytest.approx(error * (2.262157 + 0.883404), rel=1e-5)
    assert detectable(made(0.1, "a"), 5) == pytest.approx(error * (3.249836 + 0.883404), rel=1e-5)


def test_a_cell_has_no_difference_from_itself_nor_without_a_baseline(
    results: Results, root: Path
) -> None:
    assert cell("batch") not in results.comparisons
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g4"],
        "models": ["tiny"],
        "strategies": ["sequential", "batch"],
        "decoders": ["tree", "hf"],
        "exclude": [{"decoder": "hf", "strategy": "batch"}],
    }
    experiment = parse_experiment(content, "made", root)
    scores = {one: scores_of(one, RIGHT[one.strategy]) for one in experiment.cells}
    measures = primary_measure(scores), wall_measure(lambda of: {})
    found = compare_all(experiment, *measures)
    assert list(found) == [cell("sequential")]
    assert found[cell("sequential")][1] is None


def test_a_metric_by_its_name(results: Results) -> None:
    question = results.scores[cell("batch")].questions[0]
    assert (metric_of(question, "em"), metric_of(question, "nothing")) == (0, None)
    more = question.model_copy(update={"more": {"em": 0.5, "own": None}})
    assert (metric_of(more, "em"), metric_of(more, "own")) == (0.5, None)


# ----- times -----


def test_finding_the_dependencies_is_in_wall_and_ideal_and_not_in_answering(results: Results) -> None:
    seconds = results.seconds(cell("collab_heuristic"))
    assert seconds["wall_s"] == pytest.approx({"a": 0.6, "b": 0.7, "c": 0.8, "d": 0.7})
    assert seconds["ideal_s"] == pytest.approx({"a": 0.55, "b": 0.6, "c": 0.65, "d": 0.6})
    assert seconds["answer_s"] == WALLS["collab_heuristic"]
    assert seconds["ideal_answer_s"] == pytest.approx({"a": 0.05, "b": 0.1, "c": 0.15, "d": 0.1})
    assert results.seconds(cell("batch"))["wall_s"] == WALLS["batch"]
    assert results.seconds(cell("nobody")) == {}
    mean = metric_of_amounts(seconds["wall_s"])
    assert (mean.value, mean.n, mean.groups) == (pytest.approx(0.7), 4, 4)
    assert (mean.low, mean.high) == mean_interval([0.6, 0.7, 0.8, 0.7], "abcd")[1:]
    assert metric_of_amounts({"a": 1.0}).low is None


def test_the_a_a_runs_are_the_second_less_the_first(results: Results) -> None:
    (found,) = results.again.values()
    assert found.value == pytest.approx(0.01)
    assert (found.num_groups, found.difference.p) == (4, 0.125)


def test_decoders_are_compared_with_the_first(results: Results) -> None:
    (found,) = results.between.items()
    assert found[0] == cell("batch", "hf")
    assert found[1].value == pytest.approx(0.1)
    frame = tables.decoders(results)
    assert list(frame["weights"]) == ["packed", "the model's own"]
    assert frame["wall ms"].iloc[0].startswith("200.0 [")
    assert list(frame[tables.WALL].str.split(" ").str[0]) == ["", "100.0"]
    assert list(frame["p (wall)"]) == ["", "< 0.1251"]
    assert results.times.hardware == ["a CPU"]
    assert results.times.layouts == {"tree": ["packed"]}


# ----- tables -----


def rows(frame):
    """By strategy and decoder, as labelled."""
    return {(row["strategy"], row["decoder"]): row for row in frame.to_dict("records")}


def test_accuracy_by_hand(results: Results) -> None:
    frame = rows(tables.accuracy(results))
    names = [results.label("strategy", name) for name in ("sequential", "batch", "collab_heuristic")]
    batch = frame[names[1], results.label("decoder", "tree")]
    assert (batch["groups"], batch["questions"]) == (4, 8)
    assert batch["EM"].startswith("25.0 [")
    assert (batch["EM (strict)"], batch["F1"], batch["well-formed"]) == ("12.5", "25.0", "50.0")
    assert batch["type guess"] == "25.0"
    assert "chain guess" not in batch
    # In the order of the config.
    assert [name for name, _ in frame][::2] == names


def test_cost_by_hand(results: Results) -> None:
    """Tokens and passes of a group, finding its dependencies included; milliseconds with intervals."""
    frame = rows(tables.cost(results))
    plain = frame[results.label("strategy", "batch"), results.label("decoder", "tree")]
    collab = frame[results.label("strategy", "collab_heuristic"), results.label("decoder", "tree")]
    heads = ("sent", "unique", "cached", "generated", "padding", "passes")
    assert [plain[head] for head in heads] == ["40.0", "10.0", "30.0", "6.0", "2.0", "3.0"]
    assert [collab[head] for head in heads] == ["60.0", "30.0", "30.0", "10.0", "2.0", "5.0"]
    assert plain["wall ms"].startswith("200.0 [")
    assert plain["ideal ms"].startswith("100.0 [")
    assert collab["wall ms"].startswith("700.0 [")
    assert (plain["groups"], plain["questions"]) == (4, 8)


def test_differences_by_hand(results: Results) -> None:
    frame = rows(tables.differences(results))
    tree, hf = (results.label("decoder", name) for name in ("tree", "hf"))
    one = frame[results.label("strategy", "sequential"), tree]
    assert one["difference"].startswith("75.0 [")
    assert one[tables.WALL].startswith("200.0 [")
    # At the least that three groups can show, twice; four groups, three times.
    assert (one["p"], one["p (wall)"]) == ("< 0.5001", "< 0.3751")
    assert (one["groups"], one["questions"], one["timed"], one["metric"]) == (4, 8, 4, "EM")
    assert frame[results.label("strategy", "sequential"), hf]["p"] == "< 0.5001"
    collab = frame[results.label("strategy", "collab_heuristic"), tree]
    assert (collab["p"], collab["difference"].split(" ")[0]) == ("1.0000", "25.0")
    untimed = Results(results.experiment, results.scores)
    assert tables.WALL not in tables.differences(untimed)


def test_kinds_by_hand(results: Results) -> None:
    """The first questions of the groups are one kind, the rest the other."""
    frame = tables.kinds(results)
    first = frame[(frame["kind"] == "look up") & (frame["decoder"] == results.label("decoder", "tree"))]
    assert first[results.label("strategy", "batch")].iloc[0].startswith("25.0 [")  # d of a to d
    assert first[results.label("strategy", "collab_heuristic")].iloc[0].startswith("50.0 [")  # c and d
    assert (first["groups"].iloc[0], first["questions"].iloc[0], first["type guess"].iloc[0]) == (
        4,
        4,
        "25.0",
    )
    second = frame[(frame["kind"] == "two hop") & (frame["decoder"] == results.label("decoder", "tree"))]
    assert second[results.label("strategy", "batch")].iloc[0].startswith("25.0 [")  # 1 of 1 + 2 + 1
    assert (second["groups"].iloc[0], second["questions"].iloc[0]) == (3, 4)


def test_throughput_by_hand(results: Results) -> None:
    row = tables.throughput(results).iloc[0]
    assert (row["groups at once"], row["makespan, s"], row["questions / s"]) == (3, "4.0", "2.0")
    assert (row["tokens / s"], row["groups"], row["questions"]) == ("1.5", 4, 8)
    silent = {one: s.model_copy(update={"throughput": None}) for one, s in results.scores.items()}
    assert set(tables.throughput(Results(results.experiment, silent))["tokens / s"]) == {""}


def test_dependencies_by_hand(results: Results) -> None:
    """One edge in groups of 1, 2, 3, 2 questions; right, of two that are known."""
    frame = tables.dependencies(results)
    assert len(frame) == 1
    row = frame.iloc[0]
    assert row["edges per question"] == f"{(1 + 1 / 2 + 1 / 3 + 1 / 2) / 4:.2f}"
    assert (row["precision, %"], row["recall, %"], row["wrong way, %"]) == ("100.0", "50.0", "0.0")
    assert (row["finding, ms"], row["answering, ms"], row["ideal answering, ms"]) == (
        "500.0",
        "200.0",
        "100.0",
    )
    assert (row["ideal with finding, ms"], row["fallbacks"]) == ("600.0", "1 of 4")


def test_further_metrics_by_hand(experiment: Experiment) -> None:
    one = experiment.cells[0]
    scores = scores_of(one, RIGHT["batch"])
    more = [{"own": 0.5, "judge_score": 4.0}, *({"own": None, "judge_score": None} for _ in range(7))]
    questions = tuple(
        q.model_copy(update={"more": m}) for q, m in zip(scores.questions, more, strict=True)
    )
    from branchwise.evaluation.score import _question_metrics

    changed = scores.model_copy(update={"questions": questions, "metrics": _question_metrics(questions)})
    frame = tables.further(Results(experiment, {one: changed}))
    assert list(frame["metric"]) == ["own", "score (judge, 1 to 5)"]
    assert [value.split(" [")[0] for value in frame["value"]] == ["50.0", "4.00"]
    assert list(frame["questions"]) == [1, 1]


def test_frames_by_hand(results: Results, experiment: Experiment) -> None:
    frame = results.metrics()
    one = frame[(frame["strategy"] == "batch") & (frame["decoder"] == "tree")].set_index("metric")
    assert one.loc["em", ["value", "n", "groups", "questions"]].tolist() == [0.25, 8, 4, 2.0]
    assert one.loc["wall_s", "value"] == pytest.approx(0.2)
    assert set(one["family"]) == {"worlds_two_hop"}
    kinds = results.kinds()
    em = kinds[(kinds["metric"] == "em") & (kinds["strategy"] == "batch") & (kinds["decoder"] == "tree")]
    assert dict(zip(em["kind"], em["value"], strict=True)) == {"look_up": 0.25, "two_hop": 0.25}
    assert list(ordered(frame, experiment)["strategy"].drop_duplicates()) == list(experiment.strategies)
    assert results.all_by_em
    changed = {key: s.model_copy(update={"primary": "f1"}) for key, s in results.scores.items()}
    assert not Results(experiment, changed).all_by_em
    assert (family("squad_g5"), family("squad"), title("a_b"), one_line("a\n b\x00c ")) == (
        *("squad", "squad", "a b", "a b c"),
    )


# ----- how they are written -----


def test_numbers_are_written_no_narrower_than_they_are() -> None:
    assert with_interval(Interval(0.5, 0.25, 0.75), 100, 1) == "50.0 [25.0, 75.0]"
    assert with_interval(Interval(1.0, 0.99996, 1.0), 100, 1) == "100.0 [99.996, 100.000]"
    assert with_interval(Interval(0.5, math.nan, math.nan), 100, 1) == "50.0"
    assert with_interval(Interval(0.5, 0.5, 0.5), 1, 1) == "0.5 [0.5, 0.5]"
    assert with_interval(Interval(-0.0001, -0.2, 0.1), 1, 1) == "0.0 [-0.2, 0.1]"


def test_p_values_are_written_no_smaller_than_they_are() -> None:
    assert [p_value(p) for p in (1.0, 0.05, 0.0001, 0.00009, 0)] == [
        *("1.0000", "0.0500", "0.0001", "< 0.0001", "< 0.0001"),
    ]
    assert [p_value(p, at_floor=True) for p in (0.25, 0.00195, 0.00001, 1.0)] == [
        *("< 0.2501", "< 0.0020", "< 0.0001", "1.0000"),
    ]
    assert [above_zero(number) for number in (3.14, 0.04, 0.004)] == ["3.1", "0.04", "0.004"]
    assert above_zero(0.0) == "0.000000000000"
