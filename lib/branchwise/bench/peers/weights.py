"""A model's folder as the converters of peers read it: numbers of its config, and weights in float32."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from branchwise.errors import UserError

FAMILIES = ("llama", "qwen2", "qwen3")
"""Architectures that are converted by hand, by transformers' names."""


class Weights:
    """The weights of a folder of transformers, by name, and what its config says of their shapes.

    Raises UserError for a folder that is none, for an architecture that is not converted, and for what
    the conversions leave out: a stretched rotary embedding, a sliding window.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UserError(f"model folder {folder} has no config.json", "check --path") from None
        self._check()

    def _check(self) -> None:
        if self.family not in FAMILIES:
            raise UserError(
                f"a model of family {self.family} is not converted", f"take one of {', '.join(FAMILIES)}"
            )
        rope = self.config.get("rope_parameters") or {}
        if rope.get("rope_type", "default") != "default" or self.config.get("rope_scaling"):
            raise UserError(
                f"the model in {self.folder} stretches its rotary embedding", "take another model"
            )
        if self.config.get("use_sliding_window"):
            raise UserError(f"the model in {self.folder} has a sliding window", "take another model")

    @property
    def family(self) -> str:
        """What transformers calls its architecture."""
        return self.config.get("model_type", "")

    @property
    def num_layers(self) -> int:
        """Layers of the decoder."""
        return self.config["num_hidden_layers"]

    @property
    def num_heads(self) -> int:
        """Heads of queries."""
        return self.config["num_attention_heads"]

    @property
    def num_kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.config.get("num_key_value_heads") or self.num_heads

    @property
    def head_dim(self) -> int:
        """Numbers in a head."""
        return self.config.get("head_dim") or self.config["hidden_size"] // self.num_heads

    @property
    def norm_eps(self) -> float:
        """What the norms add to a mean of squares."""
        return self.config["rms_norm_eps"]

    @property
    def rope_theta(self) -> float:
        """Base of the rotary embedding."""
        rope = self.config.get("rope_parameters") or {}
        return float(rope.get("rope_theta") or self.config.get("rope_theta") or 10_000.0)

    @property
    def is_tied(self) -> bool:
        """Whether logits are read off with the embedding table."""
        return "lm_head.weight" not in self

    @cached_property
    def _where(self) -> dict[str, Path]:
        from safetensors import safe_open

        found: dict[str, Path] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            with safe_open(path, framework="numpy") as file:
                found |= dict.fromkeys(file.keys(), path)
        return found

    def __contains__(self, name: str) -> bool:
        return name in self._where

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __getitem__(self, name: str) -> np.ndarray:
        from safetensors import safe_open

        # By way of torch: numpy knows no bfloat16.
        with safe_open(self._where[name], framework="pt") as file:
            return file.get_tensor(name).float().contiguous().numpy()
