"""The model card: the shipped one is what the code writes of its figures, each with its interval."""

import json
from pathlib import Path

from branchwise.config.load import validated
from branchwise.training.card import STRATEGIES, write_card
from branchwise.training.recipe import TinyRecipe


def test_the_shipped_card_is_what_the_code_writes_and_every_share_has_an_interval(
    root: Path, tmp_path: Path
) -> None:
    shipped = root / "resources/models/tiny"
    recipe = validated(TinyRecipe, root / "config/tiny_model.yaml")
    facts = json.loads((shipped / "training.json").read_text())
    accuracy = json.loads((shipped / "accuracy.json").read_text())
    assert [run["steps"] for run in facts["runs"]] == [run.num_steps for run in recipe.runs]
    for splits in accuracy.values():
        for row in splits.values():
            measured = {strategy for strategy in STRATEGIES if strategy in row}
            assert measured == set(row["intervals"])
            for strategy, (low, high) in row["intervals"].items():
                assert 0 <= low <= row[strategy] <= high <= 1
                assert high > low
    write_card(tmp_path, recipe, facts, accuracy)
    for name in ("README.md", "accuracy.json"):
        assert (tmp_path / name).read_text() == (shipped / name).read_text()
