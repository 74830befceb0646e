"""Models from a local folder or the hub, on a device and in a dtype that are chosen or given."""

from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging as transformers_logging

from branchwise.config.entries import DecoderEntry, ModelEntry, TreeEntry
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.held.positions import Grid2D
from branchwise.decoding.hf import HFDecoder
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import UserError


class Loaded(NamedTuple):
    """A model ready to decode, with its tokenizer and the folder that it came from."""

    model: PreTrainedModel
    chat: ChatTokenizer
    folder: Path


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
    """Load what an entry names. Raises UserError where there is no such model."""
    transformers_logging.disable_progress_bar()
    folder = _folder(entry)
    device = choose_device(entry.device)
    try:
        config = AutoConfig.from_pretrained(folder)
        dtype = _dtype(entry.dtype, device, config)
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"no model could be loaded from {folder}: {reason}",
            "give a folder with config.json and safetensors weights, or a hub id",
        ) from error
    return Loaded(model.to(device).eval(), ChatTokenizer.load(folder), folder)


def _folder(entry: ModelEntry) -> Path:
    """The local folder of an entry; a hub model is downloaded to the hub cache first."""
    if entry.path is not None:
        folder = Path(entry.path).expanduser()
        if not (folder / "config.json").exists():
            raise UserError(
                f"model folder {folder} has no config.json",
                "check `path:` in config/catalogues/models.yaml"
                + ("; `snakemake tiny_model` makes the tiny model" if "tiny" in folder.name else ""),
            )
        return folder
    from huggingface_hub import snapshot_download

    try:
        patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]
        return Path(snapshot_download(entry.hub, revision=entry.revision, allow_patterns=patterns))
    except (OSError, ValueError) as error:
        raise UserError(
            f"model {entry.hub} could not be read from the hub: {str(error).splitlines()[0]}",
            "go online once, or give `path:` to a local folder",
        ) from error


def _dtype(given: str, device: torch.device, config: object) -> torch.dtype:
    if given != "auto":
        return getattr(torch, given)
    if device.type == "cpu":
        return torch.float32
    saved = getattr(config, "dtype", None)
    return saved if isinstance(saved, torch.dtype) else torch.bfloat16


def make_decoder(entry: DecoderEntry, loaded: Loaded) -> TreeEngine | HFDecoder:
    """The decoder that an entry describes, around a loaded model."""
    tokenizer = loaded.chat.tokenizer
    if isinstance(entry, TreeEntry):
        grid = Grid2D(entry.grid_stride, entry.grid_channels, entry.grid_axis, entry.grid_combine)
        return TreeEngine(
            loaded.model,
            tokenizer,
            kernel=entry.kernel,
            positions=entry.positions,
            max_step_tokens=entry.max_step_tokens,
            max_cache_tokens=entry.max_cache_tokens,
            packed_weights=entry.packed_weights,
            compile_mode=entry.compile_mode,
            grid=grid,
        )
    return HFDecoder(loaded.model, tokenizer)
