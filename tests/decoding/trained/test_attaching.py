"""A model with a checkpoint in it: what was trained, and afterwards what it was, bit for bit."""

import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.cells.runner import GroupRunner
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import Loaded
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.trained.attaching import trained as with_checkpoint
from branchwise.decoding.trained.folder import check_base, checkpoint_hash, read_record
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle
from branchwise.strategies import load
from tests.training.jobs import groups, model, recipe_of, trained

NAMES = ("head", "lora", "lora_beside", "lora_head", "mixer", "mixer_trained", "lora_mixer", "branches")
PROMPT = [[5, 6, 7, 8, 40, 41, 42]]


@pytest.fixture(scope="module")
def checkpoints(random_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Trainings of each kind, by name."""
    place = tmp_path_factory.mktemp("checkpoints")
    for name in NAMES:
        trained(random_model_folder, recipe_of(name, rate=0.02), place / name)
    return {name: place / name / "out" for name in NAMES}


@torch.no_grad()
def logits(loaded: Loaded) -> torch.Tensor:
    return loaded.model(torch.tensor(PROMPT)).logits.clone()


@pytest.mark.parametrize("name", NAMES)
def test_afterwards_it_is_what_it_was(
    name: str, random_model_folder: Path, checkpoints: dict[str, Path]
) -> None:
    """Must hold: after a trained strategy's context the base model's logits are bit-identical."""
    # Error 2: adapters leak from one strategy into the next.
    loaded = model(random_model_folder)
    before = logits(loaded)
    parameters = dict(loaded.model.named_parameters(remove_duplicate=False))
    modules = [(key, type(module)) for key, module in loaded.model.named_modules()]
    for _ in range(2):
        with with_checkpoint(loaded.model, checkpoints[name], random_model_folder) as mixing:
            changed = logits(loaded)
            if name == "mixer":
                assert mixing is not None
            assert not torch.equal(changed, before)
        assert torch.equal(logits(loaded), before)
        after = dict(loaded.model.named_parameters(remove_duplicate=False))
        assert list(after) == list(parameters)
        assert all(after[key] is parameters[key] for key in parameters)
        assert [(key, type(module)) for key, module in loaded.model.named_modules()] == modules


def test_in_any_order_the_same_answers(random_model_folder: Path, checkpoints: dict[str, Path]) -> None:
    """Must hold: running all strategies in any order gives the same answers."""
    loaded = model(random_model_folder)
    (group,) = groups(80, 1)

    def answers(name: str | None) -> list[tuple[int, ...]]:
        if name is None:
            return _answers(loaded, None, "batch", group)
        with with_checkpoint(loaded.model, checkpoints[name]) as mixing:
            strategy = "mixed" if mixing is not None else "batch"
            return _answers(loaded, mixing, strategy, group)

    wanted = {name: answers(name) for name in (None, *NAMES)}
    assert len({str(value) for value in wanted.values()}) >= 3
    for order in itertools.islice(itertools.permutations((None, *NAMES)), 0, 4000, 997):
        assert {name: answers(name) for name in order} == wanted


def _answers(loaded: Loaded, mixing: object, strategy: str, group: object) -> list[tuple[int, ...]]:
    decoder = TreeDecoder(loaded.model, loaded.chat.tokenizer, mixing)
    done = GroupRunner(load(strategy), decoder, loaded.chat, PromptStyle(), 6).once(group)
    return [tuple(ask.completion.ids) for ask in done.asks]


def test_an_adapter_beside_the_weights_decodes_as_transformers_does(
    random_model_folder: Path, checkpoints: dict[str, Path]
) -> None:
    """Must hold: attached, the tree equals `generate`."""
    loaded = model(random_model_folder)
    with with_checkpoint(loaded.model, checkpoints["lora_beside"]):
        made = TreeDecoder(loaded.model).complete(PROMPT, max_new_tokens=12)[0]
        plain = loaded.model.generate(torch.tensor(PROMPT), max_new_tokens=12, do_sample=False)
        ids = plain[0, len(PROMPT[0]) :].tolist()
        assert ids[: len(made)] == made
        assert any("lora" in name for name, _ in loaded.model.named_modules())
    assert not any("lora" in name for name, _ in loaded.model.named_modules())


def test_merged_and_beside_say_nearly_the_same(
    random_model_folder: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    loaded = model(random_model_folder)
    other = shutil.copytree(checkpoints["lora_beside"], tmp_path / "merged")
    content = json.loads((other / "checkpoint.json").read_text())
    (other / "checkpoint.json").write_text(json.dumps({**content, "merged": True}))
    with with_checkpoint(loaded.model, checkpoints["lora_beside"]):
        beside = logits(loaded)
    with with_checkpoint(loaded.model, other):
        merged = logits(loaded)
    torch.testing.assert_close(beside, merged, atol=1e-4, rtol=0)
    assert checkpoint_hash(other) != checkpoint_hash(checkpoints["lora_beside"])


def test_each_source_has_weights_of_its_own(
    random_model_folder: Path, checkpoints: dict[str, Path]
) -> None:
    entry = ModelEntry(path=str(random_model_folder), device="cpu")
    plain = logits(ModelSource(entry).loaded)
    first, second = (ModelSource(entry, checkpoints[name]) for name in ("lora", "head"))
    one, other = logits(first.loaded), logits(second.loaded)
    assert not torch.equal(one, other)
    assert torch.equal(logits(ModelSource(entry).loaded), plain)
    assert first.trained["name"] == "trial" and first.trained["parts"] == ["adapter"]


def test_a_checkpoint_of_another_base_is_refused(
    random_model_folder: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    other = shutil.copytree(random_model_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rope_theta": 5.0}))
    record = read_record(checkpoints["lora"])
    with pytest.raises(UserError, match=r"was trained on random \(files .*another one"):
        check_base(checkpoints["lora"], record, other)
    with pytest.raises(UserError, match="was trained on random"):
        ModelSource(ModelEntry(path=str(other), device="cpu"), checkpoints["lora"]).loaded  # noqa: B018


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("lora", "adapter_model.safetensors"),
        ("head", "weights.safetensors"),
        ("mixer", "mixers.safetensors"),
    ],
)
def test_a_file_that_is_cut_off_is_refused(
    name: str, file: str, random_model_folder: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    broken = shutil.copytree(checkpoints[name], tmp_path / "broken")
    whole = (broken / file).read_bytes()
    (broken / file).write_bytes(whole[: len(whole) // 2])
    loaded = model(random_model_folder)
    before = logits(loaded)
    with (
        pytest.raises(UserError, match=f"{file} of the checkpoint is cut off or changed"),
        with_checkpoint(loaded.model, broken),
    ):
        pass
    (broken / file).unlink()
    with pytest.raises(UserError, match=f"has no {file}"), with_checkpoint(loaded.model, broken):
        pass
    assert torch.equal(logits(loaded), before)


def test_a_record_that_cannot_be_read_is_told(
    checkpoints: dict[str, Path], tmp_path: Path, random_model_folder: Path
) -> None:
    broken = shutil.copytree(checkpoints["head"], tmp_path / "broken")
    content = json.loads((broken / "checkpoint.json").read_text())
    for text, message in (
        ("{", r"checkpoint\.json is broken"),
        (json.dumps({**content, "schema_version": 9}), "has schema version 9, this program reads 1"),
        (json.dumps({**content, "parts": ["soul"]}), "is broken"),
    ):
        (broken / "checkpoint.json").write_text(text)
        with pytest.raises(UserError, match=message):
            read_record(broken)
    with pytest.raises(UserError, match=r"has neither checkpoint\.json nor adapter_config\.json"):
        read_record(tmp_path)
