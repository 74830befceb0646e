"""A strategy's checkpoint: an adapter that is merged into the weights of its cell, and of no other."""

from pathlib import Path

import pytest
import torch

from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.files import folder_hash
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import UserError


@pytest.fixture(scope="module")
def adapter(random_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from peft import LoraConfig, get_peft_model

    model = ModelSource(ModelEntry(path=str(random_model_folder), device="cpu")).loaded.model
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
    torch.manual_seed(1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    folder = tmp_path_factory.mktemp("adapter")
    adapted.save_pretrained(str(folder))
    torch.save(adapted(torch.tensor([[5, 6, 7]])).logits.detach(), folder / "expected.pt")
    return folder


def logits(source: ModelSource) -> torch.Tensor:
    return source.loaded.model(torch.tensor([[5, 6, 7]])).logits.detach()


def test_it_says_what_the_adapted_model_says(random_model_folder: Path, adapter: Path) -> None:
    # Error 2: adapters leak from one strategy into the next.
    entry = ModelEntry(path=str(random_model_folder), device="cpu")
    expected = torch.load(adapter / "expected.pt", weights_only=True)
    merged = logits(ModelSource(entry, adapter))
    assert (merged - expected).abs().max() < 1e-4
    plain = logits(ModelSource(entry))
    assert (plain - expected).abs().max() > 0.01
    assert torch.equal(plain, logits(ModelSource(entry)))


def test_every_decoder_takes_it(random_model_folder: Path, adapter: Path) -> None:
    from branchwise.decoding.decoders.hf import HFEntry
    from branchwise.decoding.decoders.tree import TreeEntry

    source = ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"), adapter)
    tree = TreeEntry(kind="tree").make(source)
    HFEntry(kind="hf").make(source)
    ids = source.loaded.model.generate(torch.tensor([[5, 6, 7]]), max_new_tokens=4, do_sample=False)
    from branchwise.api import TreeDecoder

    made = TreeDecoder(source.loaded.model).complete([[5, 6, 7]], max_new_tokens=4)[0]
    assert ids[0, 3 : 3 + len(made)].tolist() == made
    assert tree.offers >= {"ask", "fork", "join"}


def test_what_is_no_adapter_is_told(random_model_folder: Path, adapter: Path, tmp_path: Path) -> None:
    entry = ModelEntry(path=str(random_model_folder), device="cpu")
    with pytest.raises(UserError, match="has neither checkpoint.json nor adapter_config.json"):
        _ = ModelSource(entry, tmp_path).loaded
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no adapter_model.safetensors"):
        _ = ModelSource(entry, tmp_path).loaded
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not it")
    with pytest.raises(UserError, match="does not fit the model"):
        _ = ModelSource(entry, tmp_path).loaded


def test_its_content_is_part_of_the_identity(adapter: Path, tmp_path: Path) -> None:
    before = folder_hash(adapter)
    assert folder_hash(tmp_path) is None
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in adapter.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert folder_hash(copy) == before
    weights = copy / "adapter_model.safetensors"
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in copy.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    (changed / weights.name).write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert folder_hash(changed) != before
