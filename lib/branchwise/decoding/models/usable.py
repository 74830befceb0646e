"""States of a model in which nothing decodes it rightly; said before it is tried."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel

from branchwise.decoding.models.facts import devices_of
from branchwise.errors import UserError


def check_usable(model: PreTrainedModel) -> None:
    """Raises UserError for dropout or gradient checkpointing that is switched on, for adapters that are
    prompts, and for parameters that are not in memory.
    """
    adapters = getattr(model, "peft_config", None) or {}
    for name, adapter in adapters.items() if isinstance(adapters, dict) else ():
        if getattr(adapter, "is_prompt_learning", False):
            kind = getattr(adapter.peft_type, "value", adapter.peft_type)
            raise UserError(
                f"adapter {name!r} is of type {kind}: it puts tokens of its own before every prompt",
                "use an adapter inside the layers (LoRA), or decode with transformers",
            )
    away = [name for name, parameter in model.named_parameters() if parameter.device.type == "meta"]
    if away or _is_offloaded(model):
        raise UserError(
            f"parameters are not in memory (offloaded): {', '.join(away[:3]) or 'see hf_device_map'}",
            "load it onto one device; or onto several (`device_map`, with as many `gpus` as it needs)",
        )
    check_mode(model)


def check_on_one_device(model: PreTrainedModel, what: str) -> None:
    """Raises UserError where a model lies on several devices, on which `what` cannot be had."""
    devices = devices_of(model)
    if len(devices) > 1:
        raise UserError(
            f"{what} cannot be had of a model on several devices ({', '.join(map(str, devices))})",
            "leave `device_map` out of the model's entry, and take a device that holds all of it",
        )


def check_mode(model: nn.Module) -> None:
    """Raises UserError where the model is being trained in a way that changes what it computes."""
    training = [module for module in model.modules() if module.training]
    if not training:
        return
    if any(_drops(module) for module in training):
        raise UserError(
            "the model is in training mode, with dropout: its answers would be random",
            "call model.eval() first",
        )
    if any(getattr(module, "gradient_checkpointing", False) for module in training):
        raise UserError(
            "the model is in training mode with gradient checkpointing, which keeps no keys and values",
            "call model.eval() first",
        )


def _drops(module: nn.Module) -> bool:
    """Whether a module in training mode leaves out what it computes now and then."""
    share = module.p if isinstance(module, nn.Dropout) else getattr(module, "attention_dropout", 0)
    return isinstance(share, int | float) and share > 0


def _is_offloaded(model: Any) -> bool:
    devices = getattr(model, "hf_device_map", None) or {}
    places = {str(place) for place in devices.values()}
    return bool(places & {"cpu", "disk"}) and len(places) > 1
