"""`branchwise cells`: the grid of a config, a line a cell, or where their files lie."""

from branchwise.config.identity import scores_path
from tests.commands.small import Small, branchwise, told


def test_the_grid_is_listed_in_the_order_of_the_config(small: Small) -> None:
    done = small.run("cells")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "small/random/batch/tree",
        "small/random/sequential/tree",
        "own/random/batch/tree",
        "own/random/sequential/tree",
    ]


def test_folders_are_those_of_the_scores(small: Small) -> None:
    lines = small.run("cells", "--folders").stdout.splitlines()
    experiment = small.experiment
    assert lines == [str(scores_path(experiment, cell).parent) for cell in experiment.cells]
    assert len(set(lines)) == 4
    # Other settings, another folder; an exclusion, a line less.
    changed = small.run("cells", "--folders", "--set", "max_new_tokens=9").stdout.splitlines()
    assert len(changed) == 4
    assert not set(lines) & set(changed)
    fewer = small.run("cells", "--set", "exclude=[{dataset: own, strategy: batch}]")
    assert len(fewer.stdout.splitlines()) == 3


def test_a_wrong_config_is_one_line(small: Small) -> None:
    assert "unknown key repeets; did you mean repeats" in told(small.run("cells", "--set", "repeets=3"))
    assert "does not exist" in told(branchwise("cells", "--config", small.folder / "none.yaml"))
