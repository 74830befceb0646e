"""How large a model in a local folder is: by its config.json, and by the bytes of weights beside it."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from branchwise.reporting.planning.facts import ModelSize

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def size_in(folder: Path) -> ModelSize | None:
    """The size of a model in the format of transformers; None where its files do not say it."""
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        whole = {**content, **content.get("text_config", {})}
        return _size_of(whole, sum(path.stat().st_size for path in folder.glob("*.safetensors")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return None


def _size_of(config: dict[str, Any], num_bytes: int) -> ModelSize:
    heads, hidden = config["num_attention_heads"], config["hidden_size"]
    # Where tables are two, passes read one of them.
    is_tied = config.get("tie_word_embeddings", True)
    return ModelSize(
        billions=num_bytes / _BYTES[config.get("dtype") or config["torch_dtype"]] / 1e9,
        embedding=0.0 if is_tied else config["vocab_size"] * hidden / 1e9,
        layers=config["num_hidden_layers"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or hidden // heads,
    )
