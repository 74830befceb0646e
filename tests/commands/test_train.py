"""`branchwise train` with a minute recipe: its folder, and stopped and changed trainings."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from branchwise.commands import train as train_module
from branchwise.data.worlds import WorldsSpec
from branchwise.training import card
from tests.commands.small import branchwise, told
from tests.training.minute import MINUTE


@pytest.fixture(autouse=True)
def short_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card measures three groups: what it measures is tested with the card."""
    spec = WorldsSpec(kinds=("look_up",), num_groups=3, group_size=2, seed=card.SEED)
    monkeypatch.setattr(card, "SPECS", {"look_up": spec})
    monkeypatch.setattr(card, "SPLITS", {"seen": {}})


def train(folder: Path, name: str = "model", **changes) -> Result:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(MINUTE | changes))
    words = ("--recipe", folder / "recipe.yaml", "--work", folder / "work", "--out", folder / name)
    return branchwise("train", *words, "--device", "cpu", "--threads", 1)


def weights(folder: Path) -> bytes:
    return (folder / "model/model.safetensors").read_bytes()


def test_the_folder_is_a_model_with_its_card(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = train(tmp_path)
    assert done.exit_code == 0, done.output
    folder = tmp_path / "model"
    written = (folder / "training.json").read_text()
    facts = json.loads(written)
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert facts["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert len(AutoTokenizer.from_pretrained(folder)) == facts["vocabulary"]
    assert '"steps": 4' in written
    assert '"threads": 1' in written
    accuracy = json.loads((folder / "accuracy.json").read_text())
    assert set(accuracy["look_up"]["seen"]) >= {"n", "type_guess", "constant", *card.STRATEGIES}
    text = (folder / "README.md").read_text()
    assert f"A Qwen3 of {facts['parameters']:,} parameters (2 layers" in text
    assert "1 x 160" in text
    assert not (tmp_path / ".model.new").exists()


def test_a_stopped_training_goes_on_to_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(tmp_path / "straight").exit_code == 0

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "progress_bar", lambda what: nullcontext(stop))
        stopped = train(tmp_path / "stopped")
    assert stopped.exit_code == 130
    assert not (tmp_path / "stopped/model").exists()
    again = train(tmp_path / "stopped")
    assert again.exit_code == 0, again.output
    # The checkpoint of the step that was under way is not written yet.
    assert "resumed at step 2" in again.output
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")


def test_a_changed_recipe_starts_anew_and_keeps_the_old_checkpoint(tmp_path: Path) -> None:
    assert train(tmp_path).exit_code == 0
    old = weights(tmp_path)
    done = train(tmp_path, num_steps=2, seed=1)
    assert done.exit_code == 0, done.output
    assert "another recipe: num_steps: 4 -> 2; seed: 0 -> 1" in done.output
    assert f"the old checkpoint, of step 4, is kept in {tmp_path}/work/checkpoint.1" in done.output
    assert "resumed" not in done.output
    assert weights(tmp_path) != old
    assert '"steps": 2' in (tmp_path / "model/training.json").read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_step": 3}, "unknown key num_step; did you mean num_steps"),
        ({"row_tokens": 3}, "key row_tokens is 3"),
        ({"stages": []}, "key stages"),
        ({"shape": {"num_layers": 1}}, "key shape.num_layers is 1"),
    ],
)
def test_a_mistake_in_the_recipe_is_one_line(tmp_path: Path, changes: dict, message: str) -> None:
    assert message in told(train(tmp_path, **changes))
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "work").exists()


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    said = told(branchwise("train", "--recipe", tmp_path / "none.yaml", "--out", tmp_path / "model"))
    assert f"{tmp_path}/none.yaml does not exist" in said
