"""Published numbers: what the files hold, and the table that shows them apart from what is measured."""

import re
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from tests.reporting.made import made_results

from branchwise.config.catalogues import published_file, published_names
from branchwise.config.load import parse_experiment
from branchwise.errors import UserError
from branchwise.reporting import notes, published, shown, tables, tables_of
from branchwise.reporting.frames import Results
from branchwise.reporting.publications import Published, load_published
from branchwise.reporting.published import COLUMNS

BATCH = {"module": "batch"}


@pytest.fixture(scope="module")
def results(root: Path) -> Results:
    strategies = {"plain": BATCH, "outline": BATCH, "another": BATCH}
    made = made_results(root, datasets=["resumes_10", "look_up"], strategies=strategies)
    experiment = made.experiment.model_copy(update={"published": "one_sequence"})
    return Results(experiment, made.scores, made.times)


@pytest.mark.parametrize("name", published_names())
def test_every_file_is_sound_and_names_its_sources(name: str) -> None:
    content = load_published(name)
    assert content.tables
    for table in content.tables:
        assert content.sources[table.source].address.startswith("https://")
        methods = [row.method for row in table.rows]
        assert len(set(methods)) == len(methods)


def test_the_numbers_give_what_the_paper_says_of_them() -> None:
    """Its text has the ratios of its table: a slip in copying would show."""
    first = [table for table in load_published("one_sequence").tables if table.where == "Table 1"]
    ratios = []
    for table in first:
        rows = {row.method: row for row in table.rows}
        assert list(rows) == ["Normal", "Ours", "SoT", "CoD", "CoD+Ours"]
        normal, ours = rows["Normal"], rows["Ours"]
        speeds = ours.tokens_per_s / normal.tokens_per_s, normal.time_s / ours.time_s
        ratios.append(tuple(round(ratio, 2) for ratio in speeds))
        assert rows["SoT"].time_s < ours.time_s and rows["SoT"].memory_mb > ours.memory_mb
    assert ratios == [(1.69, 1.70), (1.59, 1.39), (1.51, 1.27)]


def test_the_files_of_the_authors_are_nested_as_their_measures_are() -> None:
    found = [table for table in load_published("one_sequence").tables if table.source == "files"]
    retrieval = [row for table in found if table.task.startswith("retrieval") for row in table.rows]
    assert len(retrieval) == 8 and len(found) == 6
    for row in retrieval:
        anywhere, line, last, only = row.quality.values()
        assert 1 >= anywhere >= max(line, last) and last >= only


def test_it_stands_apart_with_what_is_measured_beside_it(results: Results, tmp_path: Path) -> None:
    frame = published.published(results)
    content = load_published("one_sequence")
    wanted = [row for table in content.tables for row in table.rows]
    assert list(frame) == list(COLUMNS)
    assert len(frame) == sum(len(row.quality) for row in wanted)
    paper = frame[(frame.source == "paper") & frame.task.str.startswith("retrieval")]
    beside = dict(zip(paper.method, paper["measured here"], strict=True))
    # SoT is no strategy of this experiment, and the last one none of this project's.
    assert [name for name, text in beside.items() if text] == ["Normal", "Ours"]
    measured = results.scores[next(c for c in results.scores if c.strategy == "plain")].metrics["em"]
    assert beside["Normal"].startswith(f"exact match {100 * measured.value:.1f} [")
    assert re.search(r" s \(tiny .*, tree\)$", beside["Normal"])
    assert set(frame[frame.task.str.startswith("planning")]["measured here"]) == {""}
    # A method's times stand once, whatever its measures of quality are.
    rows = frame[(frame["where"] == "7B, resume_10") & (frame.method == "Normal")]
    assert list(rows["s"]) == ["10.57", "", "", ""]
    assert list(rows["value"]) == ["1.00", "0.93", "0.77", "0.61"]
    tables.write_table("published", results, tmp_path)
    assert len(pd.read_csv(tmp_path / "published.csv")) == len(frame)
    written = (tmp_path / "published.md").read_text()
    for source in content.sources.values():
        assert source.citation in written and source.address in written
    assert "ran to 10,063 tokens" in written
    assert "\\toprule" in (tmp_path / "published.tex").read_text()


def test_no_other_table_holds_a_published_number(results: Results) -> None:
    assert tables_of(results.experiment)[-1] == "published"
    plain = Results(
        results.experiment.model_copy(update={"published": None}), results.scores, results.times
    )
    assert "published" not in tables_of(plain.experiment)
    assert published.published(plain).empty and published.source_notes(plain) == []
    for name in tables_of(plain.experiment):
        pd.testing.assert_frame_equal(tables.MAKERS[name](results), tables.MAKERS[name](plain))
        assert notes.note_of(name, results) == notes.note_of(name, plain)


def test_it_is_shown_in_a_terminal(results: Results) -> None:
    console = Console(width=80, record=True, file=StringIO())
    shown.show(results, console, ("published",), notes=False)
    said = console.export_text()
    assert "GPT-4o, 1 to 5, Qwen2.5-7B-Instruct" in said
    assert re.search(r"planning\b.*\bSoT\b.*\b3\.18\b.*\b85\.85\b.*\b5\.12\b", said)


def test_what_is_not_right_is_refused(root: Path) -> None:
    content = {
        **{"experiment": "trial", "datasets": ["resumes_10"], "models": ["tiny"]},
        **{"strategies": ["batch"], "decoders": ["tree"], "cached": True},
    }
    assert parse_experiment({**content, "published": "one_sequence"}, "trial", root).published
    with pytest.raises(UserError, match="published is one_sequense") as error:
        parse_experiment({**content, "published": "one_sequense"}, "trial", root)
    assert "one_sequence" in error.value.remedy
    assert published_file("one_sequence").is_file()
    table = {"source": "nobody", "where": "x", "task": "t", "model": "m", "hardware": "h"}
    row = {"method": "m", "quality": {"em": 1.0}}
    with pytest.raises(ValueError, match="sources that are not given: nobody"):
        Published.model_validate({"title": "t", "sources": {}, "tables": [{**table, "rows": [row]}]})
