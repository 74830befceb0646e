"""A mistake in a config names file, key and value, and the nearest right one."""

from pathlib import Path

import pytest

from branchwise.config.document import documents
from branchwise.config.load import load_experiment, parse_experiment
from branchwise.config.settings import resolved_settings
from branchwise.config.types import Cell
from branchwise.errors import UserError

BASE = {
    "experiment": "trial",
    "datasets": ["worlds_two_hop_g2", "worlds_look_up_g6"],
    "models": ["tiny"],
    "strategies": ["sequential", "batch"],
    "decoders": ["tree", "hf"],
}


def parse(root: Path, **changes):
    return parse_experiment({**BASE, **changes}, "trial.yaml", root)


def test_the_grid_is_the_product_minus_exclusions(root: Path) -> None:
    experiment = parse(
        root,
        exclude=[{"decoder": "hf", "dataset": ["worlds_look_up_g6"]}, {"strategy": "nothing"}][:1],
    )
    assert len(experiment.cells) == 2 * 1 * 2 * 2 - 2
    assert Cell("worlds_look_up_g6", "tiny", "batch", "hf") not in experiment.cells
    assert str(experiment.cells[0]) == "worlds_two_hop_g2/tiny/sequential/tree"


FORKING = {"strategies": {"forking": {"module": "batch", "needs": ["ask", "fork"]}}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"strategy": ["batch"]},
            ["trial.yaml", "unknown key strategy", "did you mean strategies"],
        ),
        ({"strategies": ["sequental", "batch"]}, ["strategy sequental", "did you mean sequential"]),
        ({"datasets": ["squad_g9"]}, ["unknown dataset squad_g9", "squad_g5"]),
        ({"repeats": 0}, ["key repeats is 0", "greater than or equal to 1"]),
        ({"experiment": "My Trial"}, ["key experiment", "My Trial"]),
        ({"models": []}, ["key models"]),
        ({"baseline": "all_in_one"}, ["baseline is all_in_one", "not among the strategies"]),
        ({"strategies": ["batch", "batch"]}, ["twice"]),
        ({"exclude": [{"datset": "x"}]}, ["exclude.0.datset", "did you mean dataset"]),
        ({"exclude": [{}]}, ["leave no cell"]),
        ({"define": {"datasets": {"d": {"source": "squad", "pth": "x"}}}}, ["d.squad.pth", "path"]),
        ({"define": {"models": {"m": {"dtype": "float32"}}}}, ["exactly one of path and hub"]),
        (
            {"define": FORKING, "strategies": ["forking"], "baseline": "forking"},
            ["forking/hf is impossible", "needs fork", "choose another decoder or exclude"],
        ),
    ],
)
def test_mistakes_are_told_in_one_line(root: Path, changes: dict, parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        parse(root, **changes)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_a_missing_key_is_named(root: Path) -> None:
    with pytest.raises(UserError, match="key datasets is missing"):
        parse_experiment({k: v for k, v in BASE.items() if k != "datasets"}, "x", root)


def test_files_that_are_not_there_or_not_yaml(tmp_path: Path, root: Path) -> None:
    (tmp_path / "demo.yaml").write_text("experiment: [")
    with pytest.raises(UserError, match="did you mean .*demo.yaml"):
        load_experiment([tmp_path / "demp.yaml"], root=root)
    with pytest.raises(UserError, match=r"line \d+ is not valid YAML"):
        load_experiment([tmp_path / "demo.yaml"], root=root)
    (tmp_path / "demo.yaml").write_text("- a list")
    with pytest.raises(UserError, match="does not hold a mapping"):
        load_experiment([tmp_path / "demo.yaml"], root=root)


def test_later_files_and_overrides_win(tmp_path: Path, root: Path) -> None:
    import yaml

    (tmp_path / "one.yaml").write_text(yaml.safe_dump({**BASE, "repeats": 2}))
    (tmp_path / "two.yaml").write_text("repeats: 5\nthreads: 2\n")
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    experiment = load_experiment(files, {"threads": 4}, root)
    assert (experiment.repeats, experiment.threads) == (5, 4)


def test_labels_do_not_belong_to_a_cells_settings(root: Path) -> None:
    """Renaming a strategy in print must not run it again."""
    cell = Cell("worlds_two_hop_g2", "tiny", "batch", "tree")
    strategy = {"strategies": {"batch": {"module": "batch", "label": "in parallel"}}}
    assert resolved_settings(parse(root), cell) == resolved_settings(parse(root, define=strategy), cell)
    assert resolved_settings(parse(root), cell) != resolved_settings(parse(root, repeats=9), cell)


def test_every_catalogue_entry_and_shipped_config_is_valid(root: Path) -> None:
    for path in (root / "config").glob("*.yaml"):
        if path.name != "tiny_model.yaml":
            assert load_experiment([path], root=root).cells


def test_strategies_of_the_catalogue_exist(root: Path) -> None:
    from branchwise.strategies import load

    for entry in parse(root).catalogues.strategies.values():
        assert load(entry.module)


def test_generated_documents_are_in_step(root: Path) -> None:
    for path, text in documents(root).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"{path.relative_to(root)} is out of step: run `branchwise document`"
        )


def test_the_schema_accepts_the_demo_and_refuses_a_typo(root: Path) -> None:
    import json

    import jsonschema
    import yaml

    schema = json.loads((root / "config/schema.json").read_text())
    demo = yaml.safe_load((root / "config/demo.yaml").read_text())
    jsonschema.validate(demo, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**demo, "repeat": 1}, schema)
