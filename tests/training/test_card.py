"""The model card: its intervals, and that the shipped one is what the code writes of its figures."""

import json
from pathlib import Path

import pytest

from branchwise.config.load import validated
from branchwise.training.card import STRATEGIES, share_interval, write_card
from branchwise.training.recipe import TinyRecipe

GROUPS = [str(number // 6) for number in range(240)]
"""Forty groups of six."""


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_right_or_all_wrong_leaves_room_for_error(value: float) -> None:
    low, high = share_interval([value] * 240, GROUPS)
    assert low <= value <= high
    assert 0.02 < high - low < 0.2


def test_answers_that_go_together_in_a_group_count_for_less() -> None:
    """Half of all are right: half of each group, or all of half the groups."""
    spread = share_interval([1.0, 0.0] * 120, GROUPS)
    together = share_interval([float(int(group) % 2) for group in GROUPS], GROUPS)
    assert spread == pytest.approx((0.437, 0.563), abs=0.001)  # 240 independent answers
    assert together == pytest.approx((0.353, 0.647), abs=0.003)  # about 40
    few = share_interval([1.0] * 235 + [0.0] * 5, GROUPS)
    assert few[0] < 235 / 240 < few[1] < 1


def test_one_group_counts_as_one_answer() -> None:
    assert share_interval([1.0, 1.0, 0.0], ["a"] * 3) == share_interval([1.0, 0.0, 1.0], ["a"] * 3)
    low, high = share_interval([1.0, 1.0, 0.0], ["a"] * 3)
    assert high - low > 0.7


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
