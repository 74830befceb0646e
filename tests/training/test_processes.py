"""Training on several processes: gloo on two CPU processes learns what one process does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import recipe_of, trained

from branchwise.training.recipes import Recipe

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.training.jobs import trained
from tests.training.test_processes import recipe
folder, name, place = sys.argv[1:]
trained(Path(folder), recipe(name), Path(place))
"""


def recipe(name: str) -> Recipe:
    """Ten steps of four rows in two passes; without dropout, which each process draws for itself."""
    lora = {"lora": {"dropout": 0}} if name == "lora" else {}
    sizes = {"steps": 10, "rows_per_step": 2, "accumulate": 2, "row_tokens": 160, "rate": 0.001}
    return recipe_of(name, save_every=5, **sizes, **lora)


@pytest.mark.parametrize("name", ["lora", "mixer", "branches_full"])
def test_two_processes_learn_what_one_does(
    name: str, root: Path, random_model_folder: Path, tmp_path: Path
) -> None:
    """Must hold: losses are summed and divided by the number of tokens of all processes, so that two
    with a row each are one with both. The first half of the steps here is one process's alone.
    """
    # Error 6: gradients not averaged over processes.
    if name == "mixer":
        with pytest.raises(KeyboardInterrupt):
            trained(random_model_folder, recipe(name), tmp_path / "two", stop_at=6)
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *words, script, random_model_folder, name, tmp_path / "two"],
        env={**os.environ, "PYTHONPATH": f"{root / 'lib'}:{root}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    trained(random_model_folder, recipe(name), tmp_path / "one")
    files = sorted((tmp_path / "one/out").glob("*.safetensors"))
    assert files
    for file in files:
        one, two = load_file(file), load_file(tmp_path / "two/out" / file.name)
        for key in one:
            torch.testing.assert_close(one[key], two[key], atol=1e-5, rtol=0)


def test_rows_that_cannot_be_dealt_out_are_told(
    root: Path, random_model_folder: Path, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        SCRIPT.replace("recipe(name)", "recipe(name).model_copy(update={'rows_per_step': 3})")
    )
    words = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [sys.executable, "-m", *words, script, random_model_folder, "lora", tmp_path / "two"],
        env={**os.environ, "PYTHONPATH": f"{root / 'lib'}:{root}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert "the 3 rows of a pass cannot be dealt out to 2 processes" in done.stderr
