"""A cell in shards, by the rules: merged it is the cell, and how it was asked for decides nothing."""

import json
from pathlib import Path

import pytest

from branchwise.results import RunRecord, read_json
from tests.workflow.project import (
    DRAWN,
    ONE_CELL,
    answers,
    edited,
    planned,
    snakemake,
    trial,
    write_config,
)

pytestmark = pytest.mark.slow

CELL = {**ONE_CELL, "strategies": ["collab_heuristic"], "timed_groups": 0, "baseline": "collab_heuristic"}


def of_shards(project: Path, model: Path, shards: int, **more) -> str:
    name = f"shards{shards}.yaml"
    write_config(project, name, trial(model, **CELL, shards=shards, **more))
    return f"config/{name}"


def test_shards_are_merged_and_are_asked_for_once(project: Path, random_model_folder: Path) -> None:
    whole = of_shards(project, random_model_folder, 1, results="whole", figures="whole/figures")
    done = snakemake(project, config=whole)
    assert done.returncode == 0, done.stdout + done.stderr
    config = of_shards(project, random_model_folder, 2)
    plan = {**DRAWN, "prepare": 1, "depend": 1, "generate_shard": 2, "generate": 1, "evaluate": 1}
    assert planned(project, config=config) == plan
    done = snakemake(project, config=config)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (project / "results/cells").rglob("run.json")
    assert [shard.num_groups for shard in read_json(run, RunRecord).shards] == [2, 1]
    (other,) = (project / "whole/cells").rglob("scores.json")
    (scores,) = run.parent.rglob("scores.json")
    merged, made = (json.loads(path.read_text())["metrics"] for path in (scores, other))
    # What finding dependencies took is a time.
    assert {**merged, "dependency_s": None} == {**made, "dependency_s": None}
    assert not list((project / "results/shards").rglob("*.json*"))
    # Asked for in one job, or in three: it is there.
    for number in (1, 2, 3):
        assert planned(project, config=of_shards(project, random_model_folder, number)) == {}
    # What is to be made anew is made as is asked now.
    with edited(project / "lib/branchwise/strategies/collab.py"):
        plan = {**DRAWN, "generate_shard": 3, "generate": 1, "evaluate": 1}
        three = of_shards(project, random_model_folder, 3)
        assert planned(project, config=three) == plan
        one = of_shards(project, random_model_folder, 1)
        assert planned(project, config=one) == {**DRAWN, "generate": 1, "evaluate": 1}


def test_a_cell_of_one_job_is_not_made_anew_in_shards(project: Path, random_model_folder: Path) -> None:
    done = snakemake(project, config=of_shards(project, random_model_folder, 1))
    assert done.returncode == 0, done.stdout + done.stderr
    assert planned(project, config=of_shards(project, random_model_folder, 2)) == {}


def test_cells_that_are_answered_together_are_their_own_results(
    project: Path, random_model_folder: Path
) -> None:
    """One model is loaded once for four cells, whose jobs find them answered."""
    cells = {"datasets": ["small_g2", "own"], "strategies": ["batch", "sequential"], "decoders": ["tree"]}
    config = trial(random_model_folder, **cells, exclude=[], timed_groups=0)
    write_config(project, "alone.yaml", {**config, "results": "alone", "figures": "alone/figures"})
    done = snakemake(project, config="config/alone.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    write_config(project, "together.yaml", {**config, "together": 9})
    done = snakemake(project, "--resources", "gpu=1", config="config/together.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(answers(project)) == 4
    assert answers(project) == answers(project, "alone")
    logs = [path.read_text() for path in (project / "logs/generate").rglob("*.log")]
    assert any("for its job" in text for text in logs)
    runs = [read_json(path, RunRecord) for path in (project / "results/cells").rglob("run.json")]
    assert any(run.shards for run in runs)
    assert not list((project / "results/shards").rglob("run.json"))
    write_config(project, "trial.yaml", config)
    assert planned(project) == {}
