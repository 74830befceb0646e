"""Tables and figures from made scores."""

from pathlib import Path

import pandas as pd
import pytest
from tests.reporting.made import run_record
from tests.reporting.timed import made_times

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity, scores_path, scoring_identity
from branchwise.config.load import parse_experiment
from branchwise.errors import UserError
from branchwise.evaluation.score import score_cell
from branchwise.reporting import (
    DEPENDENCY_FIGURES,
    ENSEMBLE_FIGURES,
    FIGURES,
    TABLES,
    figures,
    figures_of,
    notes,
    style,
    tables,
    tables_of,
)
from branchwise.reporting.cells import provenance, read_scores
from branchwise.reporting.frames import Results, family, load_results
from branchwise.results import (
    AnswerRow,
    GroupRun,
    Identity,
    Scores,
    Tokens,
    read_json,
    write_json,
)

NUM_GROUPS = 8
TOKENS = Tokens(sent=40, unique=10, cached=30, generated=6, padding=0)
SCORING = Identity(settings={"scorer": "squad", "language": "en"}, code="")


def made_scores(cell: Cell, right: float):
    """Scores of a cell in which a share of the answers is right."""
    size = int(cell.dataset.rsplit("_g", 1)[1])
    rows, runs = [], []
    for number in range(NUM_GROUPS):
        for place in range(size):
            good = (number * size + place) % 10 < 10 * right
            rows.append(
                AnswerRow(
                    group=f"g{number}",
                    question=f"q{place}",
                    text="?",
                    kind="two_hop" if place % 2 else "look_up",
                    answer_type="span",
                    golds=("Oslo",),
                    guess=0.25,
                    raw="Oslo",
                    answer="Oslo" if good else "Rome",
                    well_formed=True,
                    asks=(0,),
                    tokens=TOKENS,
                    start_s=0.0,
                    end_s=0.1,
                )
            )
        runs.append(
            GroupRun(
                id=f"g{number}",
                num_questions=size,
                forward_passes=size,
                num_asks=1,
                tokens=TOKENS,
                tokens_by_role={"answerer": TOKENS},
            )
        )
    return score_cell(rows, run_record(cell, runs, TOKENS), SCORING)


@pytest.fixture
def experiment(root: Path) -> Experiment:
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g2", "worlds_two_hop_g4", "worlds_look_up_g6"],
        "models": ["tiny"],
        "strategies": ["all_in_one", "sequential", "batch"],
        "decoders": ["tree", "hf"],
    }
    return parse_experiment(content, "made", root)


@pytest.fixture
def results(experiment: Experiment) -> Results:
    quality = {"all_in_one": 0.5, "sequential": 0.9, "batch": 0.7}
    speed = {"all_in_one": 0.2, "sequential": 0.3, "batch": 0.1}
    made = {c: made_scores(c, quality[c.strategy]) for c in experiment.cells}

    def walls(cell: Cell) -> dict[str, float]:
        return {f"g{number}": speed[cell.strategy] * (1 + number / 100) for number in range(NUM_GROUPS)}

    return Results(experiment, made, made_times(experiment, walls))


def test_every_promised_table_and_figure_is_written(results: Results, tmp_path: Path) -> None:
    promised = (*TABLES, "agreement", "decoders")
    assert (tables_of(results.experiment), figures_of(results.experiment)) == (promised, FIGURES)
    others = {"dependencies", "ensembles", "published", "reproduction", "trainings", "served"}
    assert {*promised, *others} == set(tables.MAKERS) == set(notes.NOTES)
    drawn = {*FIGURES, *DEPENDENCY_FIGURES, *ENSEMBLE_FIGURES, "training_curves"}
    assert drawn == set(figures.MAKERS)
    for name in promised:
        tables.write_table(name, results, tmp_path)
        assert "\\toprule" in (tmp_path / f"{name}.tex").read_text()
        frame = pd.read_csv(tmp_path / f"{name}.csv")
        lines = (tmp_path / f"{name}.md").read_text().splitlines()
        assert sum(line.startswith("|") for line in lines) == len(frame) + 2
    for name in FIGURES:
        figures.write_figure(name, results, tmp_path)
        for suffix in style.FORMATS:
            assert (tmp_path / f"{name}.{suffix}").stat().st_size > 1000


def test_drawing_again_gives_the_same_bytes(results: Results, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        figures.write_figure("tokens", results, tmp_path / folder)
    for suffix in style.FORMATS:
        one, two = (tmp_path / folder / f"tokens.{suffix}" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_differences_are_paired_and_signed(results: Results) -> None:
    frame = tables.differences(results)
    assert set(frame["strategy"]) == {"all in one", "sequential"}
    row = frame[(frame.strategy == "sequential") & (frame.decoder == "tree")].iloc[0]
    assert row["metric"] == "EM"
    assert row["difference"].startswith(("1", "2"))
    assert row["wall difference, ms"].startswith("2")
    assert (row["groups"], row["questions"]) == (NUM_GROUPS, 2 * NUM_GROUPS)
    # Two decoders with the same answers are one comparison: 6 of 12, with 8 groups at most.
    assert "Holm over 6 comparisons of primary metrics (6 more repeat" in notes.note_of(
        "differences", results
    )
    assert "Holm over 12 comparisons of wall times; least p they can show: 0.0938" in notes.note_of(
        "differences", results
    )
    assert row["p (wall)"] == "< 0.0938"


def test_kinds_stand_beside_their_guess(results: Results) -> None:
    frame = tables.kinds(results)
    assert set(frame["kind"]) == {"look up", "two hop"}
    assert set(frame["type guess"]) == {"25.0"}


def test_sizes_of_a_data_set_are_one_family() -> None:
    assert family("worlds_two_hop_g2") == family("worlds_two_hop_g16") == "worlds_two_hop"


def test_missing_cells_are_named(experiment: Experiment, tmp_path: Path) -> None:
    cell = experiment.cells[0]
    write_json(tmp_path / scores_path(experiment, cell), made_scores(cell, 1))
    with pytest.raises(UserError, match="17 of 18 cells have no scores"):
        load_results(experiment, tmp_path)


def test_scores_show_only_what_they_are(experiment: Experiment, tmp_path: Path) -> None:
    """A file that was copied from another cell, or made by other settings or code, passed."""
    cell, other = experiment.cells[0], experiment.cells[2]
    path = tmp_path / scores_path(experiment, cell)
    identity, scoring = cell_identity(experiment, cell), scoring_identity(experiment, cell.dataset)
    sound = made_scores(cell, 1).model_copy(update={"identity": identity, "scoring": scoring})

    def told(**changes) -> str:
        write_json(path, sound.model_copy(update=changes))
        with pytest.raises(UserError) as caught:
            read_scores(experiment, cell, path)
        return str(caught.value)

    write_json(path, sound)
    assert read_scores(experiment, cell, path) == sound
    assert f"is of cell {other}, not of {cell}" in told(cell=other._asdict())
    changed = identity.settings | {"threads": 9}
    assert "answers.threads (9, here 1)" in told(identity=Identity(settings=changed, code=identity.code))
    other_way = scoring.settings | {"scorer": "drop"}
    assert 'scores.scorer ("drop", here "squad")' in told(
        scoring=Identity(settings=other_way, code=scoring.code)
    )
    assert "made by other code" in told(identity=identity.model_copy(update={"code": "old"}))
    assert "made by other code" in told(scoring=scoring.model_copy(update={"code": "old"}))
    cached = experiment.model_copy(update={"cached": True})
    cached.bind(experiment.catalogues, {})
    old = sound.model_copy(update={"identity": identity.model_copy(update={"code": "old"})})
    assert "of 1 of 1 cells this is not the code that is here" in provenance(cached, {cell: old}, {})
    assert provenance(cached, {cell: sound}, {}).endswith("as it is here.")


def test_another_schema_version_says_so(experiment: Experiment, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_json(path, made_scores(experiment.cells[0], 1))
    assert read_json(path, Scores).schema_version == 4
    path.write_text(path.read_text().replace('"schema_version":4', '"schema_version":5'))
    with pytest.raises(UserError, match="not a Scores of schema version 4: schema_version"):
        read_json(path, Scores)
