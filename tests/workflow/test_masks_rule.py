"""Pictures of masks on request: recorded in a stage of its own, and no business of the default run."""

from pathlib import Path

import pytest

from tests.workflow.project import copy_project, edited, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow


def test_masks_of_cells(root: Path, tmp_path: Path, random_model_folder: Path) -> None:
    copy_project(root, tmp_path)
    strategies = ["batch", "collab_gold"]
    content = trial(
        random_model_folder, datasets=["small_g2"], strategies=strategies, decoders=["tree"], exclude=[]
    )
    write_config(tmp_path, "trial.yaml", content)
    wanted = [f"figures/masks/small_g2/random/{name}/tree/first.svg" for name in strategies]
    done = snakemake(tmp_path, *wanted)
    assert done.returncode == 0, done.stderr
    for path in wanted:
        assert "<title>" in (tmp_path / path).read_text(encoding="utf-8")
        assert (tmp_path / path).with_suffix(".pdf").is_file()
    assert planned(tmp_path, *wanted) == {}
    assert not {"mask", "record_mask"} & set(planned(tmp_path))
    with edited(tmp_path / "lib/branchwise/reporting/mask_labels.py"):
        assert planned(tmp_path, *wanted) == {"mask": 2}
    with edited(tmp_path / "lib/branchwise/strategies/batch.py"):
        assert planned(tmp_path, *wanted) == {"record_mask": 1, "mask": 1}
    content["max_new_tokens"] = 2
    write_config(tmp_path, "trial.yaml", content)
    assert planned(tmp_path, wanted[0]) == {"record_mask": 1, "mask": 1}
