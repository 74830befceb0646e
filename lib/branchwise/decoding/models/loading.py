"""Models from folders, the hub and GGUF files, on a device and in a dtype that are chosen or given."""

import json
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.facts import devices_of
from branchwise.decoding.models.places import place_of
from branchwise.decoding.models.usable import check_usable
from branchwise.decoding.models.weights import check_complete, quiet_report, reason_of
from branchwise.errors import UserError


class Loaded(NamedTuple):
    """A model ready to decode, with its tokenizer and the folder that it came from.

    `notes` are plain sentences on what readers of the results must know of how it was loaded and how
    its prompts are made; `origin` says in JSON data where it comes from, nothing of a local folder.
    `mixing` are the mixers of a checkpoint that has some.
    """

    model: PreTrainedModel
    chat: ChatTokenizer
    folder: Path
    notes: tuple[str, ...] = ()
    origin: dict[str, Any] = {}
    mixing: Mixing | None = None


def choose_device(given: str) -> torch.device:
    """The device of an entry; `auto` takes cuda, then mps, then cpu."""
    if given != "auto":
        try:
            device = torch.device(given)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"device {given!r} cannot be used: {reason}", "set `device: auto`") from None
        return device
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def load_model(entry: ModelEntry) -> Loaded:
    """Load what an entry names.

    Raises UserError where there is no such model, where weights or tokenizer are broken or incomplete,
    and where it does not fit the device.
    """
    transformers_logging.disable_progress_bar()
    place = place_of(entry)
    folder = place.folder
    device = choose_device(entry.device)
    # The tokenizer first: it is read in no time, and as easily broken.
    chat = ChatTokenizer.load(folder, entry.thinking, entry.template_date)
    model, notes = _read_weights(folder, entry, device)
    _check_quantization(model, folder)
    _check_vocabulary(model, chat, folder)
    notes = (*place.notes, *notes, *chat.notes)
    model = _placed(model, device, folder)
    return Loaded(model, chat, folder, (*notes, *_lies(model)), place.origin)


def _read_weights(
    folder: Path, entry: ModelEntry, device: torch.device
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """The model of a folder, read whole, and notes on weights that it does not use."""
    _check_generation_config(folder)
    try:
        with quiet_report():
            # No code of the folder is run, and nobody is asked on the terminal whether it may be.
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            # With output_loading_info it is a pair, which its type does not say.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=_dtype(entry.dtype, device, config),
                device_map=entry.device_map,
                trust_remote_code=False,
                # Weights of any other format are a pickle.
                use_safetensors=True,
                output_loading_info=True,
                # Not to be let through, but to be named: see check_complete.
                ignore_mismatched_sizes=True,
            )
            model, info = loaded
    except Exception as error:  # the files are the user's, and what broken ones raise is not settled
        raise UserError(
            f"no model could be loaded from {folder}: {reason_of(error)}", _remedy(error)
        ) from error
    return model, check_complete(info, str(folder))


def _remedy(error: Exception) -> str:
    """What to do about an error of loading."""
    if isinstance(error, ImportError):
        return "install what it names, or give a folder whose weights are not quantised"
    if isinstance(error, SafetensorError):
        return "the weights are cut off or broken: download them anew"
    if "does not recognize this architecture" in str(error):
        return "update transformers, or correct model_type in config.json"
    if "custom code" in str(error):
        return "give a model that transformers has code for: code from a model's folder is not run"
    return "give a folder with config.json and safetensors weights, or a hub id"


def _check_generation_config(folder: Path) -> None:
    """Raises UserError for a generation config that cannot be read: transformers then takes none, and
    with it the end-of-sequence ids are gone.
    """
    path = folder / "generation_config.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {reason_of(error)}", "mend it, or remove it") from None
    if not isinstance(found, dict):
        raise UserError(f"{path} holds no JSON object", "mend it, or remove it")


def _check_quantization(model: PreTrainedModel, folder: Path) -> None:
    """Raises UserError where weights are quantised and were read as if they were not."""
    given = getattr(model.config, "quantization_config", None)
    if isinstance(given, dict) and getattr(model, "hf_quantizer", None) is None:
        raise UserError(
            f"the weights in {folder} are quantised by {given.get('quant_method')!r}, which transformers "
            "does not know",
            "update transformers, or give a folder whose weights are not quantised",
        )


def _check_vocabulary(model: PreTrainedModel, chat: ChatTokenizer, folder: Path) -> None:
    """Raises UserError where the tokenizer makes ids that the model has no embedding for."""
    rows = cast(nn.Embedding, model.get_input_embeddings()).weight.shape[0]
    form: Literal["chat", "completion"] = "chat" if chat.has_template else "completion"
    prompt = chat.prompt_ids([{"role": "user", "content": "Who?"}], form=form)
    largest = max(chat.tokenizer.vocab_size - 1, *prompt)
    if largest >= rows:
        raise UserError(
            f"the tokenizer in {folder} has token ids up to {largest}, the model has {rows} embeddings",
            "take tokenizer and weights of the same model",
        )


def _placed(model: PreTrainedModel, device: torch.device, folder: Path) -> PreTrainedModel:
    """The model on its device. Raises UserError where weights are not in memory, or do not fit there."""
    check_usable(model)
    is_laid = len(devices_of(model)) > 1
    if not is_laid and not getattr(model, "is_quantized", False):  # those lie where they were made
        try:
            # Wrapped by transformers, `to` has lost the type of a method.
            model = cast(Any, model).to(device)
        except RuntimeError as error:
            raise UserError(
                f"the model in {folder} cannot be put on {device}: {reason_of(error)}",
                "set `device: cpu`, a smaller `dtype`, or take a smaller model",
            ) from error
    return model.eval()


def _lies(model: PreTrainedModel) -> tuple[str, ...]:
    """A sentence on a model that lies on several devices."""
    devices = [str(device) for device in devices_of(model)]
    if len(devices) == 1:
        return ()
    return (f"the model's layers lie on {len(devices)} devices, one after another: {', '.join(devices)}",)


def _dtype(given: str, device: torch.device, config: object) -> torch.dtype:
    if given != "auto":
        return getattr(torch, given)
    if device.type == "cpu":
        return torch.float32
    saved = getattr(config, "dtype", None)
    return saved if isinstance(saved, torch.dtype) else torch.bfloat16
