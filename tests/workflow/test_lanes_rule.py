"""Pictures of branches over time on request: of cells that are there, and not in the default run."""

from pathlib import Path

import pytest

from tests.workflow.project import copy_project, edited, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow


def test_lanes_of_cells(root: Path, tmp_path: Path, random_model_folder: Path) -> None:
    copy_project(root, tmp_path)
    strategies = ["batch", "collab_gold_see"]
    content = trial(
        random_model_folder, datasets=["small_g2"], strategies=strategies, decoders=["tree"], exclude=[]
    )
    write_config(tmp_path, "trial.yaml", content)
    wanted = [f"figures/lanes/small_g2/random/{name}/tree/first.svg" for name in strategies]
    done = snakemake(tmp_path, *wanted)
    assert done.returncode == 0, done.stderr
    for path in wanted:
        assert "<title>answer, " in (tmp_path / path).read_text(encoding="utf-8")
        assert (tmp_path / path).with_suffix(".pdf").is_file()
    assert planned(tmp_path, *wanted) == {}
    assert "lanes" not in planned(tmp_path)
    with edited(tmp_path / "lib/branchwise/reporting/lane_order.py"):
        assert planned(tmp_path, *wanted) == {"lanes": 2}
    with edited(tmp_path / "lib/branchwise/reporting/mask_labels.py"):
        assert planned(tmp_path, *wanted) == {}
