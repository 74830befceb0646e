"""What an experiment says is worked out once, and nobody changes it: in whatever order it is asked."""

from pathlib import Path

import pytest

from branchwise.config import Experiment, load_experiment, timing
from branchwise.config.identity import cell_identity, scoring_identity

HINTED = {"source": "worlds", "kinds": ["look_up"], "group_size": 2, "num_groups": 2, "hint": "Be brief."}
CONFIGS = {
    "paraphrases": {},
    "mixers": {},
    "demo": {},
    # `plain` takes a data set's hint, `batch` does not.
    "outline": {
        "datasets": ["hinted"],
        "strategies": ["plain", "batch"],
        "baseline": "batch",
        "define": {"datasets": {"hinted": HINTED}},
    },
}


def said(experiment: Experiment, *, backwards: bool) -> dict:
    """All that cells and contests depend on."""
    cells = sorted(experiment.cells, reverse=backwards)
    contests = sorted(timing.contests(experiment), key=str, reverse=backwards)
    asked = {str(cell): cell_identity(experiment, cell).model_dump() for cell in cells}
    asked |= {cell.dataset: scoring_identity(experiment, cell.dataset).model_dump() for cell in cells}
    return asked | {str(one): timing.times_identity(experiment, one).model_dump() for one in contests}


@pytest.mark.parametrize("name", CONFIGS)
def test_no_answer_depends_on_what_was_asked_before(root: Path, name: str) -> None:
    """Not of one experiment asked twice, nor of two asked from either end."""
    one, other = (load_experiment([root / f"config/{name}.yaml"], CONFIGS[name]) for _ in range(2))
    forwards = said(one, backwards=False)
    assert said(one, backwards=False) == forwards
    assert said(other, backwards=True) == forwards
