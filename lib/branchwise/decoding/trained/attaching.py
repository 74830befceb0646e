"""A model with what was trained in it, for as long as that lasts; afterwards it is what it was, bit for
bit.

Nothing of the base is written over: trained matrices take the places of its own, which come back.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.mixers.modules import STRANGERS, Mixer
from branchwise.decoding.models.weights import reason_of
from branchwise.decoding.trained.folder import (
    MIXERS,
    WEIGHTS,
    CheckpointRecord,
    check_base,
    check_files,
    read_record,
)
from branchwise.errors import UserError


@contextmanager
def trained(
    model: PreTrainedModel, folder: Path, model_folder: Path | None = None
) -> Iterator[Mixing | None]:
    """`model` as the checkpoint in `folder` has it; gives the mixers, if it has any, for the decoder.

    `model_folder` is where the model came from (None: not known, and not compared). Raises UserError for
    a checkpoint of another model, and for files that are missing, cut off or do not fit.
    """
    record = read_record(folder)
    check_files(folder, record)
    if model_folder is not None:
        check_base(folder, record, model_folder)
    parts = ("adapter",) if record is None else record.parts
    with ExitStack() as stack:
        if "adapter" in parts:
            stack.enter_context(_adapted(model, folder, record is None or record.merged))
        if {"head", "weights"} & set(parts):
            stack.enter_context(with_weights(model, _tensors(folder / WEIGHTS), folder))
        mixing = None
        if record is not None and record.mixer is not None:
            mixing = mixers_of(model, record, folder)
        yield mixing


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{path} of the checkpoint cannot be read: {reason_of(error)}", "copy or train it anew"
        ) from error


def mixers_of(model: PreTrainedModel, record: CheckpointRecord, folder: Path) -> Mixing:
    """The mixers of a checkpoint, for a model."""
    assert record.mixer is not None
    mixing = Mixing(model, record.mixer)
    tensors = _tensors(folder / MIXERS)
    for number, mixer in enumerate(mixing.modules):
        kept = [tensors.pop(f"{number}.{name}", None) for name in STRANGERS]
        if all(tensor is not None for tensor in kept):
            cast(Mixer, mixer).keep_strangers(*(cast(Tensor, t).to(model.device) for t in kept))
    try:
        missing, beyond = mixing.modules.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise _unfit(folder, reason_of(error)) from error
    missing = [name for name in missing if name.partition(".")[2] not in STRANGERS]
    if missing or beyond:
        raise _unfit(folder, f"{(*missing, *beyond)[0]} is missing or unknown")
    return mixing


@contextmanager
def with_weights(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> Iterator[None]:
    """Trained matrices in place of those of a model, by the names of its parameters.

    An output matrix that the model shares with its embeddings gets one of its own.
    """
    known = dict(model.named_parameters(remove_duplicate=False))
    places = []
    for name, tensor in tensors.items():
        if name not in known or known[name].shape != tensor.shape:
            raise _unfit(folder, f"{name} is not the model's, or has another shape")
        owner, _, last = name.rpartition(".")
        places.append((model.get_submodule(owner), last, known[name], tensor))
    try:
        for module, last, old, tensor in places:
            new = tensor.to(device=old.device, dtype=old.dtype)
            setattr(module, last, nn.Parameter(new, requires_grad=False))
        yield
    finally:
        for module, last, old, _ in places:
            setattr(module, last, old)


@contextmanager
def _adapted(model: PreTrainedModel, folder: Path, merged: bool) -> Iterator[None]:
    """The adapter of a folder in a model: added into its weights, or beside them."""
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    known = ((module, dict(module.named_parameters(recurse=False))) for module in model.modules())
    before = {module: own for module, own in known if own}
    flags = {parameter: parameter.requires_grad for own in before.values() for parameter in own.values()}
    try:
        adapted: Any = PeftModel.from_pretrained(model, str(folder), is_trainable=False)
    except Exception as error:  # the files are the user's, and what broken ones raise is not settled
        raise _unfit(folder, reason_of(error)) from error
    try:
        layers = [module for module in adapted.modules() if isinstance(module, BaseTunerLayer)]
        if not layers:
            raise _unfit(folder, "it changes no layer of it (a prompt adapter?)")
        if merged:
            _merge(layers, folder)
            adapted.base_model.unload()
        yield
    finally:
        # The layers that peft has put around the model's own go; those come back as they were.
        if hasattr(adapted.base_model, "unload"):
            adapted.base_model.unload()
        for module, own in before.items():
            for name, parameter in own.items():
                module._parameters[name] = parameter
                parameter.requires_grad_(flags[parameter])
        for leftover in ("peft_config", "_hf_peft_config_loaded"):
            vars(model).pop(leftover, None)


def _merge(layers: Sequence[Any], folder: Path) -> None:
    """Add an adapter into copies of the weights that it changes."""
    try:
        with torch.no_grad():
            for layer in layers:
                for module in layer.get_base_layer().modules():
                    for name, parameter in module.named_parameters(recurse=False):
                        module._parameters[name] = nn.Parameter(parameter.clone(), requires_grad=False)
                layer.merge(safe_merge=True)
    except Exception as error:
        raise _unfit(folder, reason_of(error)) from error


def _unfit(folder: Path, why: str) -> UserError:
    return UserError(
        f"checkpoint {folder.absolute()} does not fit the model: {why}",
        "give one that was trained on this very model, and that can be merged",
    )
