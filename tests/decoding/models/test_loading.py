"""Model folders as they come: whole, or a line that says what is wrong and what to do."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import load_model
from branchwise.encoders.loading import load_encoder
from branchwise.errors import UserError


@pytest.fixture
def folder(random_model_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(random_model_folder, tmp_path / "model")
    return tmp_path / "model"


def load(folder: Path):
    return load_model(ModelEntry(path=str(folder), device="cpu"))


def change_weights(folder: Path, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **settings) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def test_a_whole_folder_loads_without_a_note(folder: Path) -> None:
    loaded = load(folder)
    assert loaded.notes == ()
    assert not loaded.model.training


def test_layers_are_laid_on_several_devices_or_on_one(folder: Path) -> None:
    with pytest.raises(ValidationError, match="give one of them"):
        ModelEntry(path=str(folder), device="cpu", device_map="auto")
    loaded = load_model(ModelEntry(path=str(folder), device_map="auto"))
    # Without GPUs there is one device, and nothing to say of it.
    assert {str(parameter.device) for parameter in loaded.model.parameters()} == {"cpu"}
    assert loaded.notes == ()


def test_missing_weights_are_named(folder: Path) -> None:
    """They were drawn at random, and the exit was 0."""
    change_weights(folder, lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    with pytest.raises(UserError, match=r"lacks 1 weight \(model.layers.1.mlp.up_proj.weight\)"):
        load(folder)


def test_a_config_of_more_layers_than_there_are_is_found(folder: Path) -> None:
    layers = ["full_attention"] * 3
    change_config(folder, num_hidden_layers=3, layer_types=layers)
    with pytest.raises(UserError, match=r"lacks \d+ weights \(model.layers.2"):
        load(folder)


def test_weights_that_nothing_uses_are_noted(folder: Path) -> None:
    change_weights(folder, lambda weights: weights.update({"extra.weight": torch.zeros(2)}))
    assert load(folder).notes == (
        "the checkpoint holds 1 weight (extra.weight), which the model does not use",
    )


def test_weights_of_another_shape_are_named(folder: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    change_weights(folder, lambda weights: weights.update({name: torch.zeros(3, 5)}))
    with pytest.raises(UserError, match=r"have another shape than config.json says.*up_proj"):
        load(folder)


def test_a_truncated_file_says_so(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match="cut off or broken: download them anew"):
        load(folder)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("bitsandbytes", {"load_in_8bit": True}),
        ("gptq", {"bits": 4}),
        ("awq", {"bits": 4}),
        ("magic", {}),
    ],
)
def test_a_quantised_folder_without_its_library_says_so(folder: Path, method: str, more: dict) -> None:
    change_config(folder, quantization_config={"quant_method": method, **more})
    with pytest.raises(UserError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "generation_config.json", "tokenizer.json"])
def test_a_file_that_is_not_json_is_a_line(folder: Path, name: str) -> None:
    (folder / name).write_text("{broken")
    with pytest.raises(UserError):
        load(folder)


def test_an_unknown_type_is_a_line(folder: Path) -> None:
    change_config(folder, model_type="nobody_knows")
    with pytest.raises(UserError, match="update transformers, or correct model_type"):
        load(folder)


def test_a_tokenizer_of_another_model_is_found(folder: Path) -> None:
    change_weights(
        folder,
        lambda weights: weights.update(
            {name: weights[name][:100].clone() for name in weights if weights[name].shape[0] > 600}
        ),
    )
    change_config(folder, vocab_size=100)
    with pytest.raises(UserError, match="take tokenizer and weights of the same model"):
        load(folder)


def test_a_hub_model_without_a_revision_says_which_commit_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = folder.parent / "models--a--b/snapshots/0123abc"
    shutil.copytree(folder, there)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(there))
    loaded = load_model(ModelEntry(hub="a/b", device="cpu"))
    (note,) = loaded.notes
    assert "hub model a/b has no pinned revision, and commit 0123abc was loaded" in note
    assert "write `revision: 0123abc` in its entry (`branchwise doctor` says" in note
    assert loaded.origin == {"hub": "a/b", "revision": None, "commit": "0123abc"}
    pinned = load_model(ModelEntry(hub="a/b", revision="0123abc", device="cpu"))
    assert pinned.notes == ()
    assert pinned.origin["revision"] == "0123abc"


def test_the_date_and_thinking_are_settings_of_the_entry() -> None:
    entry = ModelEntry(path="x")
    assert (entry.thinking, str(entry.template_date)) == (False, "2025-01-01")
    assert ModelEntry.model_validate({"path": "x", "template_date": "2024-07-26"}).template_date.day == 26


def test_an_encoder_without_some_weights_is_refused_but_for_its_pooler(tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "is", "there", "?"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    BertModel(BertConfig(vocab_size=len(words), **shape)).save_pretrained(tmp_path)
    poolers = [name for name in load_file(tmp_path / "model.safetensors") if "pooler" in name]
    change_weights(tmp_path, lambda weights: [weights.pop(name) for name in poolers])
    load_encoder(str(tmp_path))
    change_weights(tmp_path, lambda weights: weights.pop("encoder.layer.1.output.dense.weight"))
    with pytest.raises(UserError, match=r"lacks 1 weight \(encoder.layer.1.output.dense.weight\)"):
        load_encoder(str(tmp_path))
