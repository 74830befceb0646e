"""Results without times: those of an experiment that takes none, and cached ones that lack them."""

import json
from pathlib import Path

import pytest

from branchwise.config import Cell
from branchwise.config.load import parse_experiment
from branchwise.config.timing import contests, times_path, times_settings
from branchwise.errors import UserError
from branchwise.reporting import TIMED_FIGURES, figures_of, tables, tables_of
from branchwise.reporting.cells import times_file
from branchwise.reporting.frames import Results
from branchwise.results import Metric, Scores

CELLS = [Cell("worlds_two_hop_g2", "tiny", strategy, "tree") for strategy in ("batch", "collab_gold")]


class Made(Results):
    """Results whose metrics are given."""

    def metric(self, cell: Cell, name: str) -> Metric | None:
        """A counter of both cells, and the wall time of the first one."""
        timed = name == "wall_s" and cell == CELLS[0] and self.experiment.timed_groups > 0
        return Metric(value=2.0, low=1.0, high=3.0, n=4, groups=2) if timed or name == "sent" else None


def made(root: Path, timed_groups: int) -> Made:
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g2"],
        "models": ["tiny"],
        "strategies": [cell.strategy for cell in CELLS],
        "decoders": ["tree"],
        "timed_groups": timed_groups,
    }
    scores = {cell: Scores.model_construct(groups=()) for cell in CELLS}
    return Made(parse_experiment(content, "made", root), scores)


def test_no_figure_of_times_is_planned(root: Path) -> None:
    timed, untimed = (made(root, count).experiment for count in (1, 0))
    assert set(figures_of(timed)) - set(figures_of(untimed)) == TIMED_FIGURES & set(figures_of(timed))
    assert {"latency_by_size", "quality_latency"} <= TIMED_FIGURES
    assert "accuracy" in figures_of(untimed)
    assert tables_of(timed) == tables_of(untimed)


@pytest.mark.parametrize(("timed_groups", "has_wall"), [(1, True), (0, False)])
def test_a_column_that_no_cell_has_is_left_out(root: Path, timed_groups: int, has_wall: bool) -> None:
    """One that only some have stays, empty where there is nothing."""
    frame = tables.cost(made(root, timed_groups))
    assert ("wall ms" in frame) == has_wall
    assert "ideal ms" not in frame
    assert list(frame["sent"]) == ["2.0", "2.0"]
    if has_wall:
        assert list(frame["wall ms"]) == ["2000.0 [1000.0, 3000.0]", ""]


def test_cached_times_that_are_not_there_or_of_other_settings_are_named(
    root: Path, tmp_path: Path
) -> None:
    experiment = made(root, 1).experiment
    cached = experiment.model_copy(update={"cached": True})
    cached.bind(experiment.catalogues, {})
    (contest,) = contests(cached)
    with pytest.raises(UserError, match=f"there are no cached times of {contest} in {tmp_path}"):
        times_file(cached, contest, tmp_path)
    other = made(root, 7).experiment
    (file,) = (tmp_path / times_path(other, one) for one in contests(other))
    file.parent.mkdir(parents=True)
    identity = {"settings": times_settings(other, contest), "code": ""}
    recorded = {"schema_version": 1, **dict(zip(("dataset", "model"), contest, strict=False))}
    recorded |= {"identity": identity}
    file.write_text(json.dumps(recorded))
    told = r"the cached times of \S+ are of other settings: times.timed_groups \(7, here 1\)"
    with pytest.raises(UserError, match=told):
        times_file(cached, contest, tmp_path)
    assert times_file(other, contest, tmp_path) == file
