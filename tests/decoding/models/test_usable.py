"""Models in a state in which nothing decodes them rightly: said in a line, before anything is tried."""

from types import SimpleNamespace

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.decoding.models.usable import check_mode, check_usable
from branchwise.decoding.reference import HFDecoder
from branchwise.errors import UserError
from tests.architectures import greedy
from tests.decoding.models.test_exactness import unknown


@pytest.fixture
def model():
    return unknown("llama", num_hidden_layers=2)


@pytest.mark.parametrize("decoder", [TreeDecoder, HFDecoder])
def test_dropout_is_named(model, decoder) -> None:
    for module in model.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.1
    model.train()
    with pytest.raises(UserError, match=r"training mode, with dropout.*model.eval\(\)"):
        decoder(model)
    model.eval()
    decoder(model)


def test_training_mode_without_dropout_computes_the_same(model) -> None:
    expected = greedy(model, [9, 10], 4)
    assert TreeDecoder(model.train(), kernel="dense").complete([[9, 10]], 4) == [expected]


def test_gradient_checkpointing_is_named(model) -> None:
    model.gradient_checkpointing_enable()
    model.train()
    with pytest.raises(UserError, match="gradient checkpointing, which keeps no keys and values"):
        TreeDecoder(model)
    assert TreeDecoder(model.eval(), kernel="dense").complete([[9]], 2) == [greedy(model, [9], 2)]


def test_a_part_that_drops_is_found(model) -> None:
    model.model.layers[1].add_module("drop", torch.nn.Dropout(0.2).eval())
    check_mode(model)
    model.model.layers[1].train()
    with pytest.raises(UserError, match="dropout"):
        check_mode(model)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING"])
def test_adapters_that_are_prompts_are_named(model, kind: str) -> None:
    model.peft_config = {"mine": SimpleNamespace(is_prompt_learning=True, peft_type=kind)}
    with pytest.raises(UserError, match=f"adapter 'mine' is of type {kind}"):
        TreeDecoder(model)


def test_parameters_that_are_elsewhere_are_named(model) -> None:
    model.model.layers[0].mlp.to("meta")
    with pytest.raises(UserError, match="not in memory.*layers.0.mlp.gate_proj.weight"):
        check_usable(model)
    model = unknown("llama")
    model.hf_device_map = {"model.layers.0": 0, "model.layers.1": "disk"}
    with pytest.raises(UserError, match="hf_device_map"):
        check_usable(model)


@pytest.mark.parametrize("kind", ["lora", "prompt", "prefix"])
def test_adapters_of_peft(model, kind: str) -> None:
    """Where peft is installed: LoRA decodes exactly, before and after merging; the others are refused."""
    peft = pytest.importorskip("peft")
    config = {
        "lora": lambda: peft.LoraConfig(target_modules=["q_proj", "down_proj"], init_lora_weights=False),
        "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
        "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"),
    }[kind]()
    adapted = peft.get_peft_model(model, config).eval()
    if kind != "lora":
        with pytest.raises(UserError, match="puts tokens of its own before every prompt"):
            TreeDecoder(adapted)
        return
    prompts = [[9, 10, 11, 12 + i] for i in range(3)]
    decoder = TreeDecoder(adapted, kernel="cascade", products="rows")
    for change in (lambda: None, adapted.merge_adapter, adapted.unmerge_adapter):
        change()
        assert decoder.complete(prompts, 5) == [greedy(adapted, prompt, 5) for prompt in prompts]
