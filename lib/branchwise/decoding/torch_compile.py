"""A model's decoding steps through torch.compile, everything but attention and the cache."""

from collections.abc import Callable
from typing import Any

import torch
from torch import _dynamo as dynamo
from transformers import PreTrainedModel

MODES = ("default", "reduce-overhead")
"""torch.compile's: fused kernels; on a GPU also CUDA graphs, one for each number of rows met."""
MOST_ROWS = 256
"""Steps with more rows, which are prompts, run as written: compiling gains nothing there."""


def compiled(model: PreTrainedModel, mode: str) -> Callable[..., Any]:
    """`model` as a function; pieces between attention calls are compiled at the first steps.

    Numbers of rows and of layers stay variables of the compiled code, so that a new number of rows,
    or the next layer, is not compiled anew.
    """
    fast = torch.compile(model, dynamic=None, mode=mode)

    def call(**inputs: Any) -> Any:
        if inputs["input_ids"].shape[1] > MOST_ROWS:
            return model(**inputs)
        torch.compiler.cudagraph_mark_step_begin()
        with dynamo.config.patch(allow_unspec_int_on_nn_module=True):
            out = fast(**inputs)
        # A CUDA graph writes the next step's logits to the same place.
        out.logits = out.logits.clone()
        return out

    return call
