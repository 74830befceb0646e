"""The published grids: each loads, its published rows are about its cells, its header is not stale."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

from branchwise.config import Experiment, load_experiment
from branchwise.config.catalogues import published_names
from branchwise.reporting import tables_of
from branchwise.reporting.planning.making import plan_of
from branchwise.reporting.planning.plan import total
from branchwise.reporting.publications import cells_of, counterparts, load_published

FOLDER = ROOT / "config/paper"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
WITHOUT_NUMBERS = {"parallel_agent_datasets", "rope2d_branches"}
"""Grids of which their authors published no number."""
WITHOUT_CONFIG = {"parallel_agent_preliminary"}
"""Numbers of data sets and methods that are none here."""
PLANNED = re.compile(
    r"`branchwise plan --device (\S+)` on (\d{4}-\d\d-\d\d): (.*?\.) (?=Not reproduced:)"
)


def experiment_of(name: str) -> Experiment:
    """A published grid of which nothing has been run."""
    return load_experiment([FOLDER / f"{name}.yaml"], {"results": "/nonexistent/results"})


def header_of(name: str) -> str:
    """The comment at the head of a config, on one line."""
    lines = (FOLDER / f"{name}.yaml").read_text().split("\nexperiment:")[0].splitlines()
    return " ".join(line.removeprefix("# ") for line in lines)


def test_every_system_has_its_grids() -> None:
    assert {name.partition("_")[0] for name in NAMES} == {"parallel", "rope2d", "ensembles", "one"}
    assert set(NAMES) - WITHOUT_NUMBERS == set(published_names()) - WITHOUT_CONFIG


@pytest.mark.parametrize("name", NAMES)
def test_a_grid_has_cells_and_says_what_it_stands_for(name: str) -> None:
    experiment = experiment_of(name)
    assert experiment.experiment == f"paper_{name}"
    assert len(experiment.cells) > 1 and experiment.gpus == 1
    header = header_of(name)
    if name in WITHOUT_NUMBERS:
        assert experiment.published is None and "published no number" in header
    else:
        assert experiment.published == name
        assert f"Published numbers: resources/published/{name}.yaml" in header
        assert "reproduction" in tables_of(experiment)


@pytest.mark.parametrize("name", sorted(set(NAMES) - WITHOUT_NUMBERS))
def test_every_published_row_of_a_strategy_is_about_a_cell(name: str) -> None:
    experiment, content = experiment_of(name), load_published(name)
    rows = [(table, row) for table in content.tables for row in table.rows]
    for table, row in rows:
        cells = cells_of(experiment, table, row)
        assert bool(cells) == (row.strategy is not None), f"{table.where}, {row.method}"
    found = list(counterparts(experiment))
    assert len(found) > 1
    for one in found:
        scorer = experiment.catalogues.datasets[one.cell.dataset].scorer
        # A measure that no scorer of the set gives would never be measured.
        assert (one.metric == "contains") <= (scorer == "containment")
        assert (one.metric == "judge_score") <= (one.cell.dataset in experiment.judged)


def test_published_files_without_a_config_claim_no_counterpart() -> None:
    for name in WITHOUT_CONFIG:
        for table in load_published(name).tables:
            assert table.why and table.entry is None and table.dataset is None
            assert all(row.strategy is None for row in table.rows)


@pytest.mark.parametrize("name", NAMES)
def test_the_header_says_what_the_plan_says_now(name: str) -> None:
    stated = PLANNED.search(header_of(name))
    assert stated is not None, f"config/paper/{name}.yaml does not say what `branchwise plan` printed"
    device, _, said = stated.groups()
    assert said == total(plan_of(experiment_of(name), device, 0.5, {})), (
        f"write this anew in the header of config/paper/{name}.yaml, with the day"
    )


def test_the_command_prints_that_line(tmp_path: Path) -> None:
    words = ["plan", "--config", FOLDER / "one_sequence.yaml", "--set", f"results={tmp_path}"]
    command = [sys.executable, "-m", "branchwise", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    stated = PLANNED.search(header_of("one_sequence"))
    assert stated is not None and f"Total: {stated[3]}\n" in done.stdout
