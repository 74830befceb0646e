"""Trainings in the workflow: made where a strategy needs one, and again where it is another one."""

import json
from pathlib import Path

import pytest
import yaml

from tests.training.jobs import MIXER, SHORT
from tests.workflow.project import DRAWN, copy_project, edited, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow
WORLD = {"source": "worlds", "kinds": ["look_up"], "group_size": 2, "min_facts": 3, "max_facts": 4}


def config(model: Path, **changes: object) -> dict:
    """Two trained strategies beside a plain one."""
    content = trial(
        model,
        datasets=["small_g2"],
        strategies=["batch", "taught", "mixing"],
        decoders=["tree"],
        exclude=[],
        timed_groups=1,
    )
    short = {**SHORT, "steps": 3, **changes}
    content["define"] |= {
        "trainings": {
            "lesson": {**short, "kind": "lora"},
            "mix": {**short, "kind": "mixer", "mixer": MIXER, "head": False},
        },
        "strategies": {
            "taught": {"module": "batch", "training": "lesson"},
            "mixing": {"module": "mixed", "needs": ["ask", "mix"], "training": "mix"},
        },
    }
    content["define"]["datasets"] |= {
        "seen": {**WORLD, "num_groups": 9, "seed": 901},
        "unseen": {**WORLD, "num_groups": 3, "seed": 902},
    }
    return content


def test_a_checkpoint_that_is_missing_is_made(
    root: Path, tmp_path: Path, random_model_folder: Path
) -> None:
    copy_project(root, tmp_path)
    write_config(tmp_path, "trial.yaml", config(random_model_folder))
    jobs = {**DRAWN, "prepare": 3, "train": 2, "generate": 3, "time": 1, "evaluate": 3}
    assert planned(tmp_path) == jobs
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stderr
    assert planned(tmp_path) == {}
    table = (tmp_path / "results/tables/trial/trainings.md").read_text()
    assert "lesson" in table and "mix" in table
    assert (tmp_path / "figures/trial/training_curves.svg").is_file()
    run = next((tmp_path / "results/cells/small_g2/random/taught/tree").glob("*/run.json"))
    facts = json.loads(run.read_text())["resolved"]["checkpoint"]
    assert facts["name"] == "lesson" and facts["base"] == "random"
    with edited(tmp_path / "lib/branchwise/training/trainer.py"):
        assert planned(tmp_path)["train"] == 2
    with edited(tmp_path / "lib/branchwise/reporting/trainings.py"):
        assert planned(tmp_path) == {"tables": 1, "draw": 1, "all": 1}
    # Another recipe: another folder, and the cells of it alone.
    write_config(tmp_path, "trial.yaml", config(random_model_folder, rate=0.02))
    again = planned(tmp_path)
    assert (again["train"], again["generate"]) == (2, 2)
    # The same checkpoint, given: nothing is trained.
    given = config(random_model_folder, rate=0.02)
    folder = next((tmp_path / "results/training/lesson/random").glob("*/checkpoint.json")).parent
    given |= {"checkpoints": {"taught": str(folder)}, "strategies": ["batch", "taught"]}
    write_config(tmp_path, "trial.yaml", given)
    assert "train" not in planned(tmp_path)
    done = snakemake(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"taught ({folder.name})" in (tmp_path / "results/tables/trial/accuracy.md").read_text()


def test_what_was_trained_on_is_not_evaluated(
    root: Path, tmp_path: Path, random_model_folder: Path
) -> None:
    """Must exist: training never sees an evaluation group; overlap is an error."""
    copy_project(root, tmp_path)
    content = config(random_model_folder)
    content["strategies"] = ["batch", "taught"]
    content["datasets"] = ["seen"]
    (tmp_path / "config/trial.yaml").write_text(yaml.safe_dump(content))
    done = snakemake(tmp_path)
    assert done.returncode != 0
    assert "of data set seen was seen by checkpoint" in done.stderr + done.stdout
