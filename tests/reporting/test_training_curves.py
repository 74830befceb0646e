"""Trainings in print: a row and a curve each."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.config.test_trainings import taught
from tests.reporting.fits import check_fits

from branchwise.config.trainings import training_folder
from branchwise.errors import UserError
from branchwise.reporting.style import styled
from branchwise.reporting.training_figure import draw_trainings
from branchwise.reporting.trainings import load_trainings, rows_of_trainings

CURVE = """step,loss,right,held_out_loss,held_out_right,rate,gradient_norm,tokens,train_s
0,,,1.0817,0.643,,,0,0
50,0.9,0.6,0.61,0.652,0.001,1.5,900,12
100,0.4,0.8,0.1857,0.811,0.0005,1.1,1800,24.5
150,0.3,0.85,0.19,0.8,0.0001,1.0,2700,36
"""


def record(**changes: Any) -> dict[str, Any]:
    content = {
        "schema_version": 1,
        "name": "lesson",
        "parts": ["adapter"],
        "base": {
            "name": "tiny",
            "files": "0",
            "architecture": "qwen3",
            "hidden_size": 8,
            "vocabulary": 9,
        },
        "recipe": {"kind": "lora"},
        "settings": "0",
        "code": "0",
        "data": {},
        "step": 100,
        "facts": {
            "parameters": 156480,
            "parameters_of_the_model": 1367552,
            "steps": 150,
            "tokens": 2700,
            "train_s": 36.0,
        },
        "files": {},
    }
    return content | changes


@pytest.fixture
def made(tmp_path: Path) -> tuple[Any, Path]:
    """An experiment, and its trainings' folder with one of them."""
    experiment = taught(tmp_path, {"label": "a lesson in reading that has a long name"})
    folder = tmp_path / "training"
    place = folder / training_folder(experiment, "lesson", "tiny")
    place.mkdir(parents=True)
    (place / "checkpoint.json").write_text(json.dumps(record()))
    (place / "curve.csv").write_text(CURVE)
    return experiment, folder


def test_the_row_is_of_the_step_that_is_kept(made: tuple[Any, Path]) -> None:
    (row,) = rows_of_trainings(load_trainings(*made), lambda axis, name: name).to_dict("records")
    assert row["learns"] == "156,480" and row["of"] == "1,367,552"
    assert row["step kept"] == "100 of 150"
    assert (row["loss before"], row["loss"]) == ("1.0817", "0.1857")
    assert (row["right before, %"], row["right, %"]) == ("64.3", "81.1")
    assert row["minutes"] == "0.6"


def test_the_curves_fit(made: tuple[Any, Path]) -> None:
    with styled():
        figure = draw_trainings(load_trainings(*made))
        check_fits(figure)
    losses, rights = figure.axes
    assert losses.get_yscale() == "log"
    assert [list(line.get_xdata()) for line in losses.lines] == [[50, 100, 150], [0, 50, 100, 150]]
    assert list(rights.lines[0].get_ydata()) == pytest.approx([64.3, 65.2, 81.1, 80.0])
    with styled():
        assert "Nothing is trained" in draw_trainings(()).texts[0].get_text()


def test_one_that_is_missing_is_told(made: tuple[Any, Path]) -> None:
    experiment, folder = made
    (next(folder.glob("*/*/*")) / "curve.csv").unlink()
    with pytest.raises(UserError, match="training lesson of tiny has no checkpoint with a curve"):
        load_trainings(experiment, folder)
