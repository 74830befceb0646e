"""The trainer: what is named learns and nothing else, a stop costs nothing, what goes wrong is told."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import RECIPES, columns_recipe, groups, model, recipe_of, trained

from branchwise.decoding.trained.folder import read_record, seen_passages
from branchwise.errors import UserError
from branchwise.training.parts import Trained
from branchwise.training.trainer import NotANumberLossError, Trainer


def every_parameter(trained: Trained) -> dict[str, torch.Tensor]:
    """All of a model with what was put into it, by name."""
    found = dict(trained.model.named_parameters(remove_duplicate=False))
    if trained.mixing is not None:
        found |= {f"mixers.{name}": p for name, p in trained.mixing.modules.named_parameters()}
    return {name: parameter.detach().clone() for name, parameter in found.items()}


EXPECTED = {
    "head": ("lm_head",),
    "lora": ("lora_",),
    "lora_beside": ("lora_",),
    "lora_head": ("lora_", "lm_head"),
    "mixer": ("mixers.", "lm_head"),
    "mixer_frozen": ("mixers.",),
    "mixer_trained": ("mixers.", "model.", "lm_head"),
    "self_only": ("mixers.",),
    "shuffled_peers": ("mixers.",),
    "parameter_matched": ("mixers.",),
    "similarity": ("mixers.",),
    "lora_mixer": ("mixers.", "lora_", "lm_head"),
    "branches": ("lora_",),
    "branches_full": ("model.", "lm_head"),
    "branches_peek": ("lora_",),
}
"""What the names of those that learn begin with, or hold."""


@pytest.mark.parametrize("name", [*RECIPES, "columns"])
def test_exactly_what_is_named_changes(
    name: str, random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Must hold: the named parameters change, all others are the same bit for bit."""
    # Error 1: LoRA never trained (its adapters had no gradient).
    # Error 3: tied embeddings change with the head.
    kept: list[tuple[Trained, dict[str, torch.Tensor]]] = []
    plain = Trainer.__init__

    def noted(self: Trainer, one: Trained, *args: object, **kwargs: object) -> None:
        plain(self, one, *args, **kwargs)
        kept.append((one, every_parameter(one)))

    monkeypatch.setattr(Trainer, "__init__", noted)
    # A few steps: of an adapter A moves once B has left zero, and of a mixer what it takes, and its gate,
    # once it gives.
    changes = {"steps": 4, "warmup": 0.0, "look_every": 9, "held_out": []}
    if name == "columns":
        changes.pop("held_out")
        recipe, wanted = columns_recipe(tmp_path / "texts.txt", **changes), ("model.", "lm_head")
    else:
        recipe, wanted = recipe_of(name, **changes), EXPECTED[name]
    trained(random_model_folder, recipe, tmp_path)
    ((one, before),) = kept
    after = every_parameter(one)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    named = {key for key in before if any(part in key for part in wanted)}
    if "lora_" in wanted:
        named = {key for key in named if "lora_" in key or not key.startswith("model.")}
    unmoved = named - changed
    if name == "self_only":
        # Attention over a single state has weights that do not matter.
        unmoved = {key for key in unmoved if "query" not in key and ".key" not in key}
    assert not unmoved
    assert changed <= named, changed - named
    if one.recipe.lora_entry is not None:
        ups = [value for key, value in after.items() if "lora_B" in key]
        assert ups and all(bool(value.any()) for value in ups)


def test_a_head_that_was_shared_leaves_the_embeddings_alone(
    random_model_folder: Path, tmp_path: Path
) -> None:
    # Error 3: tied embeddings change with the head.
    loaded = model(random_model_folder)
    assert loaded.model.lm_head.weight is loaded.model.model.embed_tokens.weight
    trained(random_model_folder, recipe_of("head"), tmp_path)
    record = read_record(tmp_path / "out")
    assert record is not None and record.parts == ("head",)
    assert set(load_file(tmp_path / "out/weights.safetensors")) == {"lm_head.weight"}


@pytest.mark.parametrize("name", ["lora", "mixer", "branches_full"])
def test_a_stopped_training_comes_to_the_same_parameters(
    name: str, random_model_folder: Path, tmp_path: Path
) -> None:
    """Must hold: stopped at any step and gone on with, it ends as one that was not (dropout included)."""
    recipe = recipe_of(name, steps=5, save_every=2)
    trained(random_model_folder, recipe, tmp_path / "straight")
    stop = random.Random(name).randint(1, 4)
    with pytest.raises(KeyboardInterrupt):
        trained(random_model_folder, recipe, tmp_path / "stopped", stop_at=stop)
    lines = trained(random_model_folder, recipe, tmp_path / "stopped")
    assert any("resumed at step" in line for line in lines)
    straight, stopped = tmp_path / "straight/out", tmp_path / "stopped/out"
    for file in sorted(straight.glob("*.safetensors")):
        one, other = load_file(file), load_file(stopped / file.name)
        assert all(torch.equal(one[key], other[key]) for key in one), file.name
    curves = [(place / "curve.csv").read_text().splitlines() for place in (straight, stopped)]
    # All but the time that it took.
    assert [line.rsplit(",", 1)[0] for line in curves[0]] == [
        line.rsplit(",", 1)[0] for line in curves[1]
    ]


def test_passes_of_a_step_are_one(random_model_folder: Path, tmp_path: Path) -> None:
    """Gradients of several passes are summed over tokens: as many rows, the same parameters."""
    # Error 9: means of means.
    for place, size in (("one", (4, 1)), ("more", (2, 2))):
        recipe = recipe_of("mixer", rows_per_step=size[0], accumulate=size[1], row_tokens=160)
        trained(random_model_folder, recipe, tmp_path / place)
    one, other = (load_file(tmp_path / place / "out/weights.safetensors") for place in ("one", "more"))
    for key in one:
        torch.testing.assert_close(one[key], other[key], atol=1e-5, rtol=0)


def test_another_recipe_starts_anew_and_keeps_the_old(random_model_folder: Path, tmp_path: Path) -> None:
    trained(random_model_folder, recipe_of("lora"), tmp_path)
    lines = trained(random_model_folder, recipe_of("lora", rate=0.02), tmp_path)
    text = "\n".join(lines)
    assert "made by another recipe" in text
    assert "settings.recipe.rate: 0.01 -> 0.02" in text
    assert "the old checkpoint, of step 4, is kept in" in text
    assert (tmp_path / "work/checkpoint.1/progress.json").is_file()


def test_a_kill_between_two_renames_loses_nothing(random_model_folder: Path, tmp_path: Path) -> None:
    trained(random_model_folder, recipe_of("lora"), tmp_path)
    (tmp_path / "work/checkpoint").rename(tmp_path / "work/checkpoint.old")
    shutil.rmtree(tmp_path / "out")
    lines = trained(random_model_folder, recipe_of("lora"), tmp_path)
    assert "resumed at step 4" in lines


def test_a_loss_that_is_no_number_stops_it(
    random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from branchwise.training.lesson import Learned, Lesson

    plain, passes = Lesson.forward, []

    def broken(self: Lesson, batch: object) -> Learned:
        learned = plain(self, batch)
        passes.append(torch.is_grad_enabled())
        if sum(passes) == 3:
            return learned._replace(loss_sum=learned.loss_sum * torch.nan)
        return learned

    monkeypatch.setattr(Lesson, "forward", broken)
    with pytest.raises(NotANumberLossError) as told:
        trained(random_model_folder, recipe_of("lora"), tmp_path)
    message = str(told.value)
    assert "the loss of step 3 is not a number, on groups seen/w71-" in message
    assert "the checkpoint of step 2 is kept" in message
    kept = load_file(tmp_path / "work/checkpoint/state.safetensors")
    assert all(bool(value.isfinite().all()) for value in kept.values())


def test_a_group_longer_than_a_row_is_counted_and_never_cut(
    random_model_folder: Path, tmp_path: Path
) -> None:
    long = groups(73, 2, min_facts=20, max_facts=22)
    lines = trained(
        random_model_folder, recipe_of("lora", row_tokens=128), tmp_path, train=[*groups(71), *long]
    )
    assert any("2 of 10 groups are longer than a row of 128 tokens and are left out" in x for x in lines)
    record = read_record(tmp_path / "out")
    assert record is not None and record.facts["rows_left_out"] == 2
    with pytest.raises(UserError, match="none of 2 documents fits a row of 128 tokens"):
        trained(random_model_folder, recipe_of("lora", row_tokens=128), tmp_path / "b", train=long)


def test_what_is_held_out_is_not_trained_on(random_model_folder: Path, tmp_path: Path) -> None:
    # Error 4: evaluation on the training split.
    seen = [*groups(71), *groups(72, 1)]
    with pytest.raises(UserError, match="w72-0000 of held-out data set unseen was seen by training"):
        trained(random_model_folder, recipe_of("lora"), tmp_path, train=seen)
    trained(random_model_folder, recipe_of("lora"), tmp_path)
    seen = seen_passages(tmp_path / "out")
    assert (len(seen.trained), len(seen.looked_at)) == (8, 3)
    passages = tmp_path / "out/passages.json"
    for text in ("{}", "{"):
        passages.write_text(text)
        with pytest.raises(UserError, match="whether it has seen what is evaluated cannot be told"):
            seen_passages(tmp_path / "out")


def test_it_ends_early_where_it_gets_no_better(random_model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_of("branches_full", steps=40, look_every=1, patience=2, rate=3.0, save_every=5)
    lines = trained(random_model_folder, recipe, tmp_path)
    assert any("ends early" in line for line in lines)
    record = read_record(tmp_path / "out")
    assert record is not None
    assert record.facts["steps"] < 40 and record.step == record.facts["steps"] - 2
    state = load_file(tmp_path / "work/checkpoint/state.safetensors")
    kept = load_file(tmp_path / "out/weights.safetensors")
    best = {key.removeprefix("model.best/"): value for key, value in state.items() if "best/" in key}
    assert best and all(torch.equal(kept[key], best[key]) for key in best)
    assert not all(torch.equal(state[f"model.{key}"], best[key]) for key in best)
    again = trained(random_model_folder, recipe, tmp_path)
    assert sum("step" in line and "held-out" in line for line in again) == 0


def test_the_record_says_how_to_have_it_again(random_model_folder: Path, tmp_path: Path) -> None:
    trained(random_model_folder, recipe_of("lora_mixer"), tmp_path)
    content = json.loads((tmp_path / "out/checkpoint.json").read_text())
    assert content["parts"] == ["adapter", "head", "mixers"]
    assert set(content["files"]) == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "weights.safetensors",
        "mixers.safetensors",
        "passages.json",
    }
    assert content["mixer"]["heads"] == 8
    assert content["base"]["architecture"] == "qwen3"
    assert content["recipe"]["kind"] == "lora_mixer"
    assert set(content["data"]["datasets"]) == {"seen"}
    text = (tmp_path / "out/checkpoint.json").read_text() + (
        tmp_path / "out/adapter_config.json"
    ).read_text()
    assert str(random_model_folder) not in text
    assert not list((tmp_path / "out").glob("*.bin"))


def test_other_code_starts_anew(
    random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A finished folder of work was resumed at its last step, whatever had been mended since."""
    from tests.training import jobs

    trained(random_model_folder, recipe_of("lora"), tmp_path)
    plain = jobs.job_of
    monkeypatch.setattr(
        jobs, "job_of", lambda *args, **kwargs: replace(plain(*args, **kwargs), code="new")
    )
    lines = trained(random_model_folder, recipe_of("lora"), tmp_path)
    assert any('code: "" -> "new"' in line for line in lines)
    record = read_record(tmp_path / "out")
    assert record is not None and record.code == "new"


@pytest.mark.parametrize(
    ("name", "content"),
    [("state.safetensors", "cut"), ("state.safetensors", "changed"), ("progress.json", "cut")],
)
def test_a_damaged_checkpoint_is_put_aside(
    random_model_folder: Path, tmp_path: Path, name: str, content: str
) -> None:
    """The training starts anew, says so, and ends where it had ended."""
    trained(random_model_folder, recipe_of("lora"), tmp_path)
    first = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.safetensors")}
    file = tmp_path / "work/checkpoint" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] if content == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
    lines = trained(random_model_folder, recipe_of("lora"), tmp_path)
    assert any(f"{name} of the training to go on with cannot be read" in line for line in lines)
    assert any(line.startswith("starting anew; the damaged checkpoint is kept in") for line in lines)
    assert (tmp_path / "work/checkpoint.1" / name).is_file()
    again = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.safetensors")}
    assert first and again == first


@pytest.mark.parametrize("changes", [{"recompute": True}, {"precision": "bf16"}])
def test_layers_computed_anew_and_half_precision(
    changes: dict, random_model_folder: Path, tmp_path: Path
) -> None:
    """Computed anew the gradients are the same; in bfloat16 what learns stays in float32."""
    trained(random_model_folder, recipe_of("mixer_frozen"), tmp_path / "plain")
    trained(random_model_folder, recipe_of("mixer_frozen", **changes), tmp_path / "changed")
    places = (tmp_path / name / "out/mixers.safetensors" for name in ("plain", "changed"))
    plain, changed = (load_file(place) for place in places)
    assert all(tensor.dtype == torch.float32 for tensor in changed.values())
    tolerance = 1e-6 if "recompute" in changes else 0.1
    for key in plain:
        torch.testing.assert_close(plain[key], changed[key], atol=tolerance, rtol=0)


@pytest.mark.parametrize("peek", [False, True])
def test_columns_of_a_text(peek: bool, random_model_folder: Path, tmp_path: Path) -> None:
    """The catalogue's own entry peeks, on a grid; what it was trained on is known."""
    changes = {"positions": "grid2d_shared", "peek": True} if peek else {}
    trained(random_model_folder, columns_recipe(tmp_path / "texts.txt", **changes), tmp_path)
    record = read_record(tmp_path / "out")
    assert record is not None and record.parts == ("weights",)
    assert set(record.data) == {"texts", "looked_at"}
    # Four texts of four sentences to learn, one to look at; whole, and by sentences.
    seen = seen_passages(tmp_path / "out")
    assert (len(seen.trained), len(seen.looked_at)) == (20, 5)


def test_strangers_are_of_another_group(random_model_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="passes hold one group"):
        trained(
            random_model_folder, recipe_of("shuffled_peers", rows_per_step=1, row_tokens=130), tmp_path
        )


def test_an_output_matrix_learns_once(random_model_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_of("lora_head", lora={"targets": ["q_proj", "lm_head"]})
    with pytest.raises(UserError, match=r"lm_head is to be trained and to get an adapter, too"):
        trained(random_model_folder, recipe, tmp_path)
