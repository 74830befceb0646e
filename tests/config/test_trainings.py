"""What strategies are trained with, as configs say it."""

from pathlib import Path
from typing import Any

import pytest
from tests.config.test_identity import experiment

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_folder, cell_identity, cell_settings
from branchwise.config.load import load_catalogues, load_experiment
from branchwise.config.shipped import ROOT
from branchwise.config.trainings import (
    checkpoint_folder,
    data_of,
    given_checkpoint,
    training_folder,
    training_of,
    trainings_of,
)
from branchwise.errors import UserError

CELL = Cell("own", "tiny", "taught", "tree")
WORLD = {"source": "worlds", "kinds": ["look_up"], "num_groups": 3, "seed": 900}


def taught(folder: Path, recipe: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    """An experiment with a strategy that is trained on made worlds."""
    define = {
        "trainings": {"lesson": {"kind": "lora", "datasets": ["seen"], **(recipe or {})}},
        "strategies": {"taught": {"module": "batch", "training": "lesson", **changes.pop("entry", {})}},
        "datasets": {"own": {"source": "jsonl", "path": "own.jsonl"}, "seen": WORLD},
    }
    return experiment(folder, define=define, strategies=["taught", "batch"], **changes)


def test_a_checkpoint_is_what_it_is_trained_by(tmp_path: Path) -> None:
    first = taught(tmp_path)
    assert trainings_of(first) == [("lesson", "tiny")]
    assert training_of(first, "taught") == "lesson" and training_of(first, "batch") is None
    assert data_of(first.catalogues.trainings["lesson"]) == ("seen",)
    settings = cell_settings(first, CELL)["strategy"]["training"]
    assert set(settings) == {"recipe", "groups", "styles", "model"}
    assert "label" not in settings["recipe"]
    identity = cell_identity(first, CELL)
    assert identity.training_code and identity.training_code in identity.codes
    assert cell_identity(first, CELL._replace(strategy="batch")).training_code is None
    folder = checkpoint_folder(first, "taught", "tiny")
    assert folder == Path(first.trainings_folder) / training_folder(first, "lesson", "tiny")
    for change in ({"rate": 0.5}, {"lora": {"rank": 2}}, {"seed": 3}):
        other = taught(tmp_path, change)
        assert checkpoint_folder(other, "taught", "tiny") != folder
        assert cell_folder(other, CELL) != cell_folder(first, CELL)
    named = taught(tmp_path, {"label": "a lesson"})
    assert cell_folder(named, CELL) == cell_folder(first, CELL)


def test_somebody_elses_checkpoint_takes_its_place(tmp_path: Path) -> None:
    """Must exist: one config key evaluates somebody else's checkpoint."""
    place = tmp_path / "theirs"
    place.mkdir()
    with pytest.raises(UserError, match=f"strategy taught: {place} holds no checkpoint"):
        taught(tmp_path, checkpoints={"taught": "theirs"})
    (place / "adapter_config.json").write_text("{}")
    (place / "adapter_model.safetensors").write_bytes(b"one")
    given = taught(tmp_path, checkpoints={"taught": "theirs"})
    assert given_checkpoint(given, "taught") == place
    assert training_of(given, "taught") is None and trainings_of(given) == []
    first = cell_settings(given, CELL)["strategy"]["checkpoint"]
    assert cell_identity(given, CELL).training_code is None
    with pytest.raises(UserError, match="checkpoints names strategy tought.*taught"):
        taught(tmp_path, checkpoints={"tought": "theirs"})
    (tmp_path / "others").mkdir()
    (tmp_path / "others/adapter_config.json").write_text("{}")
    (tmp_path / "others/adapter_model.safetensors").write_bytes(b"other")
    other = taught(tmp_path, checkpoints={"taught": "others"})
    assert cell_settings(other, CELL)["strategy"]["checkpoint"] != first


@pytest.mark.parametrize(
    ("recipe", "entry", "message"),
    [
        ({}, {"training": "lessen"}, "strategy taught has unknown training lessen.*lesson"),
        ({"datasets": ["sean"]}, {}, "training lesson reads unknown data set sean.*seen"),
        ({}, {"checkpoint": "x"}, "has a checkpoint and a training"),
        ({"kind": "mixer"}, {}, "strategy taught does not mix.*module `mixed`"),
        ({}, {"module": "mixed", "needs": ["ask", "mix"]}, "needs mix, and nothing that it is given"),
        ({"datasets": []}, {}, "trainings.lesson.*datasets"),
        ({"lora": {"rank": 0}}, {}, "rank"),
        ({"patience": 0}, {}, "patience"),
        ({"patience": 3}, {}, "patience counts looks at held-out groups"),
        ({"kind": "branches", "peek": True}, {}, "positions is path, and is to be shared"),
        ({"kind": "columns", "datasets": []}, {}, "give texts, a local file, or hub"),
        ({"kind": "columns", "texts": "nope.txt"}, {}, "not of data sets with questions"),
        ({"kind": "columns", "datasets": [], "texts": "no.txt"}, {}, "texts .*no.txt do not exist"),
        ({"kind": "lorra"}, {}, "lorra"),
    ],
)
def test_what_does_not_fit_is_told_when_the_config_is_read(
    recipe: dict[str, Any], entry: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"(?s){message}"):
        taught(tmp_path, recipe, entry=entry)


@pytest.mark.parametrize(
    ("recipe", "options", "decoder", "fits"),
    [
        ({}, {}, "tree", True),
        ({"positions": "grid2d"}, {}, "tree", False),
        ({"positions": "grid2d"}, {}, "tree_grid2d", True),
        ({"positions": "grid2d", "grid": {"stride": 3}}, {}, "tree_grid2d", False),
        ({"positions": "shared", "peek": True}, {"peek": True, "positions": "shared"}, "tree", True),
        ({"positions": "shared", "peek": True}, {"positions": "shared"}, "tree", False),
        ({"positions": "grid2d_shared", "peek": True}, {"peek": True}, "tree_grid2d_shared", True),
        ({"positions": "shared"}, {}, "tree_grid2d_shared", False),
    ],
)
def test_branches_are_asked_as_they_were_trained(
    recipe: dict[str, Any], options: dict[str, Any], decoder: str, fits: bool, tmp_path: Path
) -> None:
    entry = {"module": "branches", "needs": ["ask", "fork", "peek"], "options": options}
    asked = {"recipe": {"kind": "branches", **recipe}, "entry": entry, "decoders": [decoder]}
    if fits:
        assert taught(tmp_path, **asked)
        return
    with pytest.raises(UserError, match="its branches were trained with"):
        taught(tmp_path, **asked)


def test_what_a_decoder_cannot_is_told_when_the_config_is_read(tmp_path: Path) -> None:
    define = {
        "strategies": {"s": {"module": "branches", "needs": ["ask", "fork", "peek"]}},
        "decoders": {"by_parts": {"kind": "tree", "kernel": "cascade"}},
    }
    with pytest.raises(UserError, match="strategy s needs peek, which decoder by_parts does not offer"):
        experiment(tmp_path, define=define, strategies=["s", "batch"], decoders=["by_parts"])


def test_every_training_of_the_catalogue_has_a_strategy_and_its_data() -> None:
    catalogues = load_catalogues(ROOT)
    used = {entry.training for entry in catalogues.strategies.values()}
    # The others are variants that an experiment may name.
    assert set(catalogues.trainings) - used == {"branches_path"}
    for name, recipe in catalogues.trainings.items():
        assert all(data in catalogues.datasets for data in data_of(recipe)), name
    for name in ("mixers", "lora", "branches"):
        found = load_experiment([ROOT / f"config/{name}.yaml"])
        assert trainings_of(found)
        for training, _ in trainings_of(found):
            recipe = found.catalogues.trainings[training]
            seeds = [getattr(found.catalogues.datasets[data], "seed", None) for data in data_of(recipe)]
            evaluated = [
                getattr(found.catalogues.datasets[data], "seed", None) for data in found.datasets
            ]
            assert not set(seeds) & set(evaluated)
