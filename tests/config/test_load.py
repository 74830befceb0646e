"""A mistake in a config names file, key and value, and the nearest right one."""

import re
from pathlib import Path

import pytest

from branchwise.config.document import documents
from branchwise.config.identity import cell_settings
from branchwise.config.load import load_catalogues, load_experiment, parse_experiment
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
        exclude=[{"decoder": "hf", "dataset": ["worlds_look_up_g6"]}],
    )
    assert len(experiment.cells) == 2 * 1 * 2 * 2 - 2
    assert Cell("worlds_look_up_g6", "tiny", "batch", "hf") not in experiment.cells
    assert str(experiment.cells[0]) == "worlds_two_hop_g2/tiny/sequential/tree"


FORKING = {"strategies": {"forking": {"module": "batch", "needs": ["ask", "fork"]}}}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"datasets": "squad_g5"}, ["key datasets is 'squad_g5', not a list", "write [squad_g5]"]),
        ({"exclude": [{"decoder": "hf", "dataset": "squad_g5"}]}, ["exclude.0 matches no cell"]),
        (
            {
                "exclude": [
                    {"dataset": "worlds_two_hop_g2"},
                    {"dataset": "worlds_look_up_g6", "decoder": ["tree"]},
                    {"model": "qwen2.5-7b-instruct"},
                ]
            },
            ["exclude.2 matches no cell"],
        ),
        ({"exclude": [{"decoder": 3}]}, ["key exclude.0.decoder is 3"]),
        (
            {"define": {"datasets": {"d": {"source": "squad", "path": "x", "group_size": 0}}}},
            ["key define.datasets.d.group_size is 0"],
        ),
        (
            {"define": {"dependencies": {"d": {"kind": "heuristic", "selection": {"max_need": 1}}}}},
            ["unknown key define.dependencies.d.selection.max_need", "did you mean max_needs"],
        ),
        (
            {"define": {"dependencies": {"d": {"kind": "heuristic", "selectoin": "plain"}}}},
            ["unknown key define.dependencies.d.selectoin", "did you mean selection?"],
        ),
        ({"define": {"models": {"a/b": {"hub": "x"}}}}, ["'a/b' cannot be a name in models"]),
        ({"define": {"models": {"..": {"hub": "x"}}}}, ["cannot be a name"]),
        ({"strategies": ["full_batch", "batch"]}, ["full_batch is called here: all_in_one"]),
        ({"strategies": ["parallel_bert", "batch"]}, ["called here: collab_attention_published"]),
        ({"results": "a{b}"}, ["key results", "no braces"]),
        ({"roles": {"planner": "tinny"}}, ["roles.planner is unknown model tinny", "tiny"]),
        ({"roles": {"plannr": "tiny"}}, ["unknown key roles.plannr", "did you mean planner"]),
        (
            {
                "define": {"strategies": {"s": {"module": "batch", "options": {"x": 1}}}},
                "strategies": ["s", "batch"],
            },
            ["strategy s: strategy batch takes no options, but is given x"],
        ),
        (
            {
                "define": {"strategies": {"s": {"module": "collab", "options": {"wait": "long"}}}},
                "strategies": ["s", "batch"],
            },
            ["strategy s: option wait of strategy collab", "'needs' or 'layers'"],
        ),
        (
            {"define": {"strategies": {"s": {"module": "colab"}}}, "strategies": ["s", "batch"]},
            ["there is no strategy module colab", "collab_see"],
        ),
        (
            {
                "define": {"strategies": {"s": {"module": "batch", "needs": ["mix"]}}},
                "strategies": ["s", "batch"],
            },
            ["strategy s needs mix, and nothing that it is given"],
        ),
        (
            {"strategy": ["batch"]},
            ["trial.yaml", "unknown key strategy", "did you mean strategies"],
        ),
        ({"strategies": ["sequental", "batch"]}, ["strategy sequental", "did you mean sequential"]),
        ({"datasets": ["squad_g9"]}, ["unknown dataset squad_g9", "squad_g5"]),
        ({"repeats": 0}, ["key repeats is 0", "write 1 or more"]),
        ({"max_new_tokens": "many"}, ['key max_new_tokens is "many"; write a whole number']),
        ({"max_new_tokens": 2.5}, ["key max_new_tokens is 2.5; write a whole number"]),
        ({"cached": "perhaps"}, ['key cached is "perhaps"; write true or false']),
        (
            {"define": {"models": {"m": {"hub": "a/b", "dtype": "float8"}}}},
            ["dtype is \"float8\"; write 'auto', 'float32', 'bfloat16' or 'float16'"],
        ),
        ({"style": 7}, ["write a text"]),
        ({"experiment": "My Trial"}, ["key experiment", "My Trial"]),
        ({"models": []}, ["key models"]),
        ({"baseline": "all_in_one"}, ["baseline is all_in_one", "not among the strategies"]),
        ({"strategies": ["batch", "batch"]}, ["twice"]),
        ({"exclude": [{"datset": "x"}]}, ["exclude.0.datset", "did you mean dataset"]),
        ({"exclude": [{}]}, ["leave no cell"]),
        (
            {"define": {"datasets": {"d": {"source": "squad", "pth": "x"}}}},
            ["unknown key define.datasets.d.pth", "did you mean path"],
        ),
        (
            {"define": {"datasets": {"d": {"source": "squda"}}}},
            ['key define.datasets.d.source is "squda"', "did you mean squad?", "Known: cmb_clin, "],
        ),
        ({"define": {"datasets": {"d": {}}}}, ["key define.datasets.d.source is missing; add it"]),
        ({"define": {"decoders": {"d": {"kind": "three"}}}}, ["d.kind is", "did you mean tree?"]),
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

    (tmp_path / "one.yaml").write_text(yaml.safe_dump({**BASE, "repeats": 3}))
    (tmp_path / "two.yaml").write_text("repeats: 5\nthreads: 2\n")
    files = [tmp_path / "one.yaml", tmp_path / "two.yaml"]
    experiment = load_experiment(files, {"threads": 4}, root)
    assert (experiment.repeats, experiment.threads) == (5, 4)


def test_labels_do_not_belong_to_a_cells_settings(root: Path) -> None:
    """Renaming a strategy in print must not run it again."""
    cell = Cell("worlds_two_hop_g2", "tiny", "batch", "tree")
    strategy = {"strategies": {"batch": {"module": "batch", "label": "in parallel"}}}
    assert cell_settings(parse(root), cell) == cell_settings(parse(root, define=strategy), cell)
    assert cell_settings(parse(root), cell) != cell_settings(parse(root, max_new_tokens=9), cell)


def test_every_catalogue_entry_and_shipped_config_is_valid(root: Path) -> None:
    shipped = [path for path in (root / "config").glob("*.yaml") if path.name != "tiny_model.yaml"]
    assert root / "config/demo.yaml" in shipped
    for path in shipped:
        assert load_experiment([path], root=root).cells


def test_strategies_of_the_catalogue_exist(root: Path) -> None:
    from branchwise.strategies import load

    entries = parse(root).catalogues.strategies
    assert "collab_gold_see" in entries
    for entry in entries.values():
        assert callable(load(entry.module, entry.options))


def test_generated_documents_are_in_step(root: Path) -> None:
    written = documents(root)
    names = {"README.md", "config/README.md", "config/schema.json", "config/own-data.schema.json"}
    assert {path.relative_to(root).as_posix() for path in written} == names
    for path, text in written.items():
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


def test_revisions_of_the_catalogue_are_commits_or_none() -> None:
    """What could not be looked up is null: a name of a branch would be no pin."""
    models = load_catalogues().models
    revisions = {entry.revision for entry in models.values()} - {None}
    assert all(re.fullmatch("[0-9a-f]{40}", revision) for revision in revisions)
    labels = [entry.label for entry in models.values()]
    assert len(set(labels)) == len(labels) >= 20
    thinking = {entry.hub for entry in models.values() if entry.thinking}
    assert thinking == {entry.hub for name, entry in models.items() if name.startswith("qwen3-")}
    assert all(sum(entry.hub == hub for entry in models.values()) == 2 for hub in thinking)
