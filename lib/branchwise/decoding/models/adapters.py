"""Trained adapters (LoRA and its kin, in peft's format), merged into a model's weights.

A merged model is a plain model: every decoder takes it, and nothing can leak into another cell, since a
cell loads its own weights.
"""

from pathlib import Path
from typing import Any

from branchwise.decoding.models.weights import reason_of
from branchwise.errors import UserError


def merged_adapter(model: Any, folder: Path) -> Any:
    """The model with the adapter of a folder in its weights.

    Raises UserError where the folder holds no adapter in safetensors, and for one that does not fit the
    model or cannot be merged (a prompt adapter).
    """
    from peft import PeftModel

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(
                f"checkpoint {folder.absolute()} has no {name}",
                "give the folder that peft's save_pretrained wrote",
            )
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), is_trainable=False)
        return adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # the files are the user's, and what broken ones raise is not settled
        raise UserError(
            f"checkpoint {folder.absolute()} does not fit the model: {reason_of(error)}",
            "give an adapter that was trained on this very model, and that can be merged",
        ) from error
