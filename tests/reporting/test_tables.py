"""What tables may say: no interval of no width, no p of zero, nothing detectable at zero."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.reporting.made import run_record
from tests.reporting.timed import made_times, write_times

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity, scores_path, scoring_identity
from branchwise.config.load import parse_experiment
from branchwise.errors import UserError
from branchwise.evaluation.score import score_cell
from branchwise.evaluation.statistics import Interval
from branchwise.reporting import notes, shown, tables, tidy
from branchwise.reporting.comparing import compare, primary_measure
from branchwise.reporting.frames import Results, load_results
from branchwise.reporting.numbers import above_zero, p_value, with_interval
from branchwise.results import (
    AnswerRow,
    GroupRun,
    Identity,
    LeftOut,
    RunRecord,
    Scores,
    Tokens,
    write_json,
    write_rows,
)

TOKENS = Tokens(sent=40, unique=10, cached=30, generated=6, padding=0)
QUICK = {"suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]}


def rows_of(right: dict[str, list[bool]]) -> list[AnswerRow]:
    return [
        AnswerRow(
            group=group,
            question=f"q{place}",
            text="Where, 我?",
            kind="two_hop" if place % 2 else "look_up",
            answer_type="span",
            golds=("Oslo", "the city"),
            guess=0.25,
            chain_guess=0.5 if place % 2 else None,
            raw="Oslo",
            answer="Oslo" if good else "the wrong city",
            well_formed=True,
            asks=(0,),
            tokens=TOKENS,
            start_s=0.0,
            end_s=0.1,
        )
        for group, answers in right.items()
        for place, good in enumerate(answers)
    ]


def run_of(cell: Cell, right: dict[str, list[bool]], identity: Identity) -> RunRecord:
    groups = [
        GroupRun(
            id=group,
            num_questions=len(answers),
            forward_passes=3,
            num_asks=1,
            tokens=TOKENS,
            tokens_by_role={"answerer": TOKENS},
        )
        for group, answers in right.items()
    ]
    return run_record(cell, groups, TOKENS, identity)


def scores_of(cell: Cell, right: dict[str, list[bool]], scorer: str = "squad") -> Scores:
    identity = Identity(settings={}, code="")
    scoring = Identity(settings={"scorer": scorer, "language": "en"}, code="")
    return score_cell(rows_of(right), run_of(cell, right, identity), scoring)


def made(root: Path, **changes) -> Experiment:
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g2"],
        "models": ["tiny"],
        "strategies": ["batch", "sequential"],
        "decoders": ["tree", "hf"],
        **changes,
    }
    return parse_experiment(content, "made", root)


def results_of(experiment: Experiment, right, walls, scorer: str = "squad") -> Results:
    """The same groups in every cell; `right` and `walls` by strategy."""
    made = {c: scores_of(c, right[c.strategy], scorer) for c in experiment.cells}
    return Results(experiment, made, made_times(experiment, lambda cell: walls[cell.strategy]))


@pytest.fixture(scope="module")
def small(root: Path) -> Experiment:
    return made(root, decoders=["tree"])


@st.composite
def random_groups(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=9))
    chance = draw(st.sampled_from([0, 1, 2]))
    right, walls = {}, {}
    for strategy in ("batch", "sequential"):
        answer = st.booleans() if chance == 2 else st.just(bool(chance))
        right[strategy] = {
            f"g{n}": draw(st.lists(answer, min_size=size, max_size=size)) for n, size in enumerate(sizes)
        }
        walls[strategy] = {f"g{n}": draw(st.floats(1e-5, 100)) for n in range(len(sizes))}
    return right, walls


@settings(max_examples=10, **QUICK)
@given(random_groups())
def test_nothing_is_certain(small: Experiment, sample) -> None:
    results = results_of(small, *sample)
    # Times that are the same to the last bit have an interval of no width: nobody measures such.
    frames = {
        name: tables.MAKERS[name](results).drop(columns="wall difference, ms", errors="ignore")
        for name in ("accuracy", "differences", "kinds")
    }
    text = "\n".join(
        tables.markdown(frame) + notes.note_of(name, results) for name, frame in frames.items()
    )
    for value, low, high in re.findall(r"(-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]", text):
        assert low != high, (value, low, high)
    assert "100.0 [100.0, 100.0]" not in text
    assert not re.search(r"\| 0\.0000 \||p they can show: 0\.0000", text)
    assert "nan" not in text and "inf" not in text
    for size in re.findall(r"([\d.]+) (?:points|ms)[;,.]", text):
        assert float(size.rstrip(".")) > 0


@settings(max_examples=100)
@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1), st.sampled_from([(100, 1), (1000, 0)]))
def test_a_written_interval_shows_that_it_has_a_width(value, below, above, how) -> None:
    interval = Interval(value, value - below, value + above)
    low, high = re.fullmatch(r"\S+ \[(\S+), (\S+)\]", with_interval(interval, *how)).groups()
    if interval.high - interval.low > 1e-6:
        assert float(low) < float(high)


def test_numbers_as_they_are_written() -> None:
    assert with_interval(Interval(1, 0.99996, 1), 100, 1) == "100.0 [99.996, 100.000]"
    assert with_interval(Interval(1, 0.996, 1), 100, 1) == "100.0 [99.6, 100.0]"
    assert with_interval(Interval(12, 12, 12), 1, 1) == "12.0 [12.0, 12.0]"
    assert with_interval(Interval(-0.00001, -0.1, 0.1), 100, 1) == "0.0 [-10.0, 10.0]"
    assert with_interval(Interval(0.5, float("nan"), float("nan")), 1000, 0) == "500"
    assert [p_value(p) for p in (1, 0.05, 0.00012, 0.00002, 0)] == [
        *("1.0000", "0.0500", "0.0001", "< 0.0001", "< 0.0001")
    ]
    assert [p_value(p, at_floor=True) for p in (0.0078125, 0.9, 1)] == ["< 0.0079", "< 0.9001", "1.0000"]
    assert [above_zero(x) for x in (12.34, 0.04, 0.0004)] == ["12.3", "0.04", "0.0004"]


def five_groups(*answers: bool) -> dict[str, list[bool]]:
    return {f"g{n}": list(answers) for n in range(5)}


WALLS = {f"g{n}": 0.1 + n / 100 for n in range(5)}


def test_the_primary_metric_is_compared(root: Path) -> None:
    """DROP by F1: half of the words are right where no answer is."""
    right = {"batch": five_groups(False, False), "sequential": five_groups(True, True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS), "drop")
    frame = tables.differences(results)
    f1 = [s.metrics["f1"].value for c, s in results.scores.items() if c.decoder == "tree"]
    assert set(frame["metric"]) == {"F1"}
    assert frame["difference"].iloc[0].startswith(f"{100 * (f1[1] - f1[0]):.1f} [")
    assert f1[0] > 0
    accuracy = tables.accuracy(results)
    assert list(accuracy["metric"]) == ["F1"] * 4
    assert accuracy["value"].iloc[0] == with_interval(
        results.scores[results.experiment.cells[0]].metrics["f1"], 100, 1
    )


def test_groups_and_guesses_stand_in_the_tables(root: Path) -> None:
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    frame = tables.kinds(results).set_index(["decoder", "kind"])
    assert frame.loc[("tree", "two hop"), ["type guess", "chain guess"]].tolist() == ["25.0", "50.0"]
    assert frame.loc[("tree", "look up"), "chain guess"] == ""
    assert (frame["groups"].iloc[0], frame["questions"].iloc[0]) == (5, 5)
    # Only half of the questions go on from another: their guess is not that of the whole.
    assert "chain guess" not in tables.accuracy(results)
    for name in ("accuracy", "cost", "differences"):
        frame = tables.MAKERS[name](results)
        assert (frame["groups"] == 5).all() and (frame["questions"] == 10).all()


def test_scores_of_parts_stand_among_the_further_metrics(root: Path) -> None:
    """An order that no answer has is in no table: these have no titles."""
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS), "parts")
    frame = tables.further(results)
    assert set(frame["metric"]) == {"recall", "precision"}
    assert set(tables.differences(results)["metric"]) == {"recall"}
    recall = results.scores[results.experiment.cells[0]].metrics["recall"]
    assert frame[frame["metric"] == "recall"]["value"].iloc[0] == with_interval(recall, 100, 1)
    assert recall.n == 10


def test_decoders_that_answer_alike_count_once(root: Path) -> None:
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    experiment = made(root)
    results = results_of(experiment, right, dict.fromkeys(right, WALLS))
    # Five groups of five: p is 2 / 32, of one comparison; the times are the same.
    assert set(tables.differences(results)["p"]) == {"< 0.0626"}
    other = {**right, "sequential": {**right["sequential"], "g0": [False, True]}}
    by_decoder = {"tree": right, "hf": other}
    scores = {c: scores_of(c, by_decoder[c.decoder][c.strategy]) for c in experiment.cells}
    # Two comparisons now: 2 / 32 times two, and 2 / 16 of the four groups that differ.
    assert set(tables.differences(Results(experiment, scores))["p"]) == {"< 0.1251"}


def test_questions_that_one_cell_lacks_are_left_out_and_said(root: Path) -> None:
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    del right["sequential"]["g4"]
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    frame = tables.differences(results)
    assert set(frame["groups"]) == {4} and set(frame["questions"]) == {8}
    assert "left out: worlds two hop g2 up to 2." in notes.note_of("differences", results)
    one, base = (Cell("worlds_two_hop_g2", "tiny", s, "tree") for s in ("sequential", "batch"))
    lone = {one: scores_of(one, {"x": [True]}), base: results.scores[base]}
    assert compare(primary_measure(lone), one, base) is None


@pytest.fixture
def written(root: Path, tmp_path: Path) -> Experiment:
    """An experiment whose cells lie where the workflow puts them."""
    experiment = made(root, results=str(tmp_path / "results"), figures=str(tmp_path / "figures"))
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    for cell in experiment.cells:
        identity, scoring = cell_identity(experiment, cell), scoring_identity(experiment, cell.dataset)
        rows, run = rows_of(right[cell.strategy]), run_of(cell, right[cell.strategy], identity)
        path = Path(experiment.cells_folder) / scores_path(experiment, cell)
        write_json(path, score_cell(rows, run, scoring))
        write_rows(path.parent.parent / "answers.jsonl", rows, identity.about(run.cell))
    write_times(experiment, lambda cell: WALLS, Path(experiment.times_folder))
    return experiment


def test_the_tidy_file_is_for_pandas(written: Experiment, tmp_path: Path) -> None:
    results = load_results(written, Path(written.cells_folder))
    tidy.write_tidy(results, tmp_path)
    frame = pd.read_csv(tmp_path / tidy.NAME)
    assert len(frame) == 4 * 10
    mean = frame.groupby(["strategy", "decoder"])["em"].mean()
    for cell, scores in results.scores.items():
        assert mean[cell.strategy, cell.decoder] == scores.metrics["em"].value
    numeric = frame.select_dtypes("number").columns
    wanted = ["em", "f1", "guess", "sent", "generated", "padding", "group_wall_s", "group_ideal_s"]
    assert set(wanted) <= set(numeric)
    first = frame.iloc[0]
    assert (first["text"], first["answer"], json.loads(first["golds"])) == (
        *("Where, 我?", "Oslo", ["Oslo", "the city"]),
    )
    assert frame.groupby("group")["group_wall_s"].first().to_dict() == pytest.approx(WALLS)


def test_without_answers_the_tidy_file_has_scores(written: Experiment) -> None:
    results = load_results(written, Path(written.cells_folder))
    for path in Path(written.cells_folder).rglob("answers.jsonl"):
        path.unlink()
    frame = tidy.tidy(results)
    assert frame["answer"].isna().all() and frame["em"].notna().all()


def test_answers_of_other_questions_are_refused(written: Experiment) -> None:
    results = load_results(written, Path(written.cells_folder))
    path = next(Path(written.cells_folder).rglob("answers.jsonl"))
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="are of different questions"):
        tidy.tidy(results)


def test_tables_in_a_terminal_fit_80_columns(written: Experiment) -> None:
    results = load_results(written, Path(written.cells_folder))
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    shown.show(results, console)
    text = console.export_text()
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    assert "worlds two hop g2" in text and "sequential" in text
    accuracy = tables.accuracy(results)
    assert all(value.split()[0] in text for value in accuracy["EM"])
    folder = Path(written.results) / "tables/made"
    folder.mkdir(parents=True)
    assert ("tables", folder) in shown.places(written)
    assert "figures" not in dict(shown.places(written))


def test_times_are_compared_with_their_noise_beside_them(root: Path) -> None:
    """A strategy less the baseline, the baseline less itself (A/A), and decoder less decoder."""
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    slower = {group: 2 * wall_s for group, wall_s in WALLS.items()}
    results = results_of(made(root), right, {"batch": WALLS, "sequential": slower})
    frame = tables.differences(results)
    # The mean of WALLS is 120 ms, of three repeats the middle one.
    assert all(text.startswith("120.0 [") for text in frame["wall difference, ms"])
    assert set(frame["timed"]) == {5}
    cost = tables.cost(results).set_index(["strategy", "decoder"])
    assert cost.loc[("batch", "tree"), "wall ms"].startswith("120.0 [")
    assert cost.loc[("batch", "tree"), "ideal ms"].startswith("60.0 [")
    # Of each group its generated tokens by its own time, then the mean.
    rates = [TOKENS.generated / wall_s for wall_s in WALLS.values()]
    assert cost.loc[("batch", "tree"), "tokens / s"].startswith(f"{sum(rates) / len(rates):.1f} [")
    for name in ("cost", "differences", "decoders"):
        note = notes.note_of(name, results)
        assert "A/A: batch timed twice" in note
        assert "worlds two hop g2, tree: 1.2 [" in note
        assert "Timed on a processor, 1 threads; load average 0.5 to 0.5." in note
        assert "OTHER WORK" not in note
    decoders = tables.decoders(results)
    assert list(decoders["decoder"]) == ["tree", "transformers"]
    assert list(decoders["weights"]) == ["plain", "the model's own"]
    assert decoders["wall difference, ms"].iloc[1].startswith("0.0 ")
    assert decoders["wall difference, ms"].iloc[0] == ""


def test_what_is_noted_of_answers_stands_under_the_tables(root: Path) -> None:
    right = {"batch": five_groups(True), "sequential": five_groups(True)}
    results = results_of(made(root, decoders=["tree"]), right, dict.fromkeys(right, WALLS))
    assert notes.answer_notes(results) == []
    cell = next(c for c in results.scores if c.strategy == "batch")
    noted = {"no_outline": 2, "written_in_one_go": 1}
    results.scores[cell] = results.scores[cell].model_copy(update={"noted": noted})
    (note,) = notes.answer_notes(results)
    assert note.startswith("Noted of answers: worlds two hop g2, ")
    assert note.endswith("batch, tree: 2 no outline, 1 written in one go of 5.")
    assert note in notes.note_of("accuracy", results)


def test_different_machines_are_told(root: Path) -> None:
    right = {"batch": five_groups(True), "sequential": five_groups(True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    contest = next(iter(results.times.records))
    record = results.times.records[contest]
    other = tuple(run.model_copy(update={"hardware": "another"}) for run in record.runs)
    results.times.records[contest] = record.model_copy(update={"runs": other})
    assert "Times are of DIFFERENT machines" in notes.note_of("cost", results)


def test_other_work_beside_times_is_told(root: Path) -> None:
    """A load of the timed threads, and of Snakemake, is none."""
    right = {"batch": five_groups(True), "sequential": five_groups(True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    contest = next(iter(results.times.records))
    record = results.times.records[contest]
    for load, is_told in ((2.0, False), (2.1, True)):
        loaded = tuple(run.model_copy(update={"load": load}) for run in record.runs)
        results.times.records[contest] = record.model_copy(update={"runs": loaded})
        assert ("OTHER WORK ran beside" in notes.note_of("cost", results)) == is_told


def test_throughput_is_no_latency(root: Path) -> None:
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    row = tables.throughput(results).iloc[0]
    # Ten questions and 6 tokens in the 2 s of the makespan.
    assert (row["makespan, s"], row["questions / s"], row["tokens / s"]) == ("2.0", "5.0", "3.0")
    assert "wall" not in " ".join(tables.throughput(results))


def test_without_times_there_are_no_columns_of_times(root: Path) -> None:
    experiment = made(root, timed_groups=0)
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    results = results_of(experiment, right, dict.fromkeys(right, WALLS))
    assert not results.times.by_cell
    for name in ("cost", "differences"):
        assert not [head for head in tables.MAKERS[name](results) if "wall" in head or "ideal" in head]
        assert "No times were taken." in notes.note_of(name, results)


def test_groups_that_do_not_fit_are_told_with_their_share(root: Path) -> None:
    right = {"batch": five_groups(True, False), "sequential": five_groups(True, True)}
    results = results_of(made(root), right, dict.fromkeys(right, WALLS))
    cell = results.experiment.cells[0]
    lost = LeftOut(group="long", num_questions=6, reason="too long")
    results.scores[cell] = results.scores[cell].model_copy(update={"left_out": (lost,)})
    note = notes.note_of("accuracy", results)
    assert "batch, tree 1 of 6 groups (37.5 % of the questions)" in note
