"""Published numbers against measured ones of the same cell: what stands in a row, and what never does."""

import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.reporting.made import made_results

from branchwise.config.identity import scores_path
from branchwise.reporting import publications, reproduction, tables, tables_of
from branchwise.reporting.frames import Results
from branchwise.reporting.notes import note_of
from branchwise.reporting.publications import Published, counterparts
from branchwise.reporting.reproduction import COLUMNS, is_inside, load_found
from branchwise.results import Metric, write_json

BATCH = {"module": "batch"}
PUBLISHED: dict[str, Any] = {
    "title": "made",
    "sources": {"them": {"citation": "Somebody, 2025", "address": "https://example.org"}},
    "metrics": {"EM": "em", "prompt tokens": "sent", "graded": "judge_score", "tokens": "generated"},
    "tables": [
        {
            **{
                "source": "them",
                "where": "Table 3",
                "task": "two hops",
                "dataset": "asked",
                "model": "Tiny",
            },
            **{"entry": "tiny", "hardware": "theirs", "note": "of their own making"},
            "rows": [
                {
                    **{"method": "Ours", "strategy": "here", "tokens": 12.5},
                    "quality": {"EM": 0.813, "lenient": 0.951, "graded": 3.5},
                    "amounts": {"prompt tokens": 381},
                },
                {"method": "Theirs", "strategy": "there", "quality": {"EM": 0.5}},
                {"method": "Another", "quality": {"EM": 0.4}},
            ],
        },
        {
            **{
                "source": "them",
                "where": "Table 4",
                "task": "many hops",
                "model": "Big",
                "hardware": "theirs",
            },
            **{
                "why": "no such data",
                "rows": [{"method": "Ours", "strategy": "here", "quality": {"EM": 0.3}}],
            },
        },
    ],
}


@pytest.fixture
def results(root: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Two strategies of one data set, of which the second was not run."""
    content = Published.model_validate(copy.deepcopy(PUBLISHED))
    for module in (publications, reproduction):
        monkeypatch.setattr(module, "load_published", lambda name: content)
    made = made_results(root, datasets=["asked"], strategies={"here": BATCH, "there": BATCH})
    experiment = made.experiment.model_copy(update={"published": "made"})
    experiment.bind(made.experiment.catalogues, {})
    scores = {cell: one for cell, one in made.scores.items() if cell.strategy == "here"}
    return Results(experiment, scores)


def test_a_row_a_number_that_is_about_a_cell(results: Results) -> None:
    frame = reproduction.reproduction(results)
    assert list(frame) == list(COLUMNS)
    assert list(zip(frame.method, frame.measure, strict=True)) == [
        ("Ours", "EM"),
        ("Ours", "graded"),
        ("Ours", "prompt tokens"),
        ("Ours", "tokens"),
        ("Theirs", "EM"),
    ]
    measured = next(iter(results.scores.values())).metrics
    first = frame.iloc[0]
    assert (first.source, first["where"], first.published) == ("them", "Table 3", "81.3")
    assert first.measured.startswith(f"{100 * measured['em'].value:.1f} [")
    assert first.n == str(measured["em"].n) == "30"
    assert first.difference == f"{100 * (measured['em'].value - 0.813):+.1f}"
    inside = measured["em"].low <= 0.813 <= measured["em"].high
    assert first.inside == ("yes" if inside else "no")
    # No judge has graded anything.
    assert list(frame.iloc[1][["published", "measured", "inside"]]) == ["3.50", "not measured", ""]
    # 400 tokens are sent of each group, in all of them; of amounts n is the groups.
    tokens = frame.iloc[2]
    assert (tokens.published, tokens.n) == ("381", "6") and tokens.measured.startswith("400.0")
    assert tokens.difference == "+19.0" and tokens.inside == "no"
    assert frame.iloc[3].published == "12.5"
    assert list(frame.iloc[4][["measured", "n", "difference", "inside"]]) == ["not run", "", "", ""]


@pytest.mark.parametrize(
    ("published", "said"), [(0.4, "yes"), (0.5, "yes"), (0.6, "yes"), (0.399, "no"), (0.601, "no")]
)
def test_inside_is_of_the_measured_interval(published: float, said: str) -> None:
    metric = Metric(value=0.5, low=0.4, high=0.6, n=10, groups=5)
    assert is_inside(published, metric) == said
    assert is_inside(published, metric.model_copy(update={"low": None, "high": None})) == ""


def test_the_note_counts_what_is_about_no_cell(results: Results) -> None:
    note = note_of("reproduction", results)
    # EM, graded, prompt tokens and tokens of Ours, EM of Theirs; not lenient, Another, and Table 4.
    assert "Of 8 published numbers 5 are about a cell" in note
    assert "Table 3: of their own making." in note and "Table 4" not in note


def test_it_is_a_table_where_a_number_is_about_a_cell(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tables_of(results.experiment)[-2:] == ("published", "reproduction")
    tables.write_table("reproduction", results, tmp_path)
    written = pd.read_csv(tmp_path / "reproduction.csv", dtype=str)
    assert list(written) == list(COLUMNS) and len(written) == 5
    assert "not run" in (tmp_path / "reproduction.md").read_text()
    assert "\\toprule" in (tmp_path / "reproduction.tex").read_text()
    silent = results.experiment.model_copy(update={"published": None})
    assert "reproduction" not in tables_of(silent) and list(counterparts(silent)) == []
    # Of another model there is nothing to compare with, and no empty table.
    of_others = copy.deepcopy(PUBLISHED)
    of_others["tables"][0]["entry"] = "another"
    monkeypatch.setattr(publications, "load_published", lambda name: Published.model_validate(of_others))
    assert tables_of(results.experiment)[-1] == "published"


def test_results_are_found_as_far_as_there_are_any(results: Results, tmp_path: Path) -> None:
    experiment = results.experiment
    nothing, others = load_found(experiment, tmp_path / "nowhere")
    assert nothing.scores == {} and others == {}
    assert set(reproduction.reproduction(nothing).measured) == {"not run"}
    # What another program, or another version of this one, left there is no result of the cell.
    cell, scores = next(iter(results.scores.items()))
    path = tmp_path / scores_path(experiment, cell)
    path.parent.mkdir(parents=True)
    write_json(path, scores)
    found, others = load_found(experiment, tmp_path)
    assert found.scores == {} and "settings" in others[cell]
    frame = reproduction.reproduction(found, others)
    assert set(frame[frame.method == "Ours"].measured) == {"of other code or settings"}
    assert set(frame[frame.method == "Theirs"].measured) == {"not run"}
