"""Where in a model a number was lost."""

from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel


@torch.no_grad()
def first_nan(model: PreTrainedModel, inputs: dict[str, Any]) -> tuple[str, set[int]]:
    """The first module whose output has a NaN when `model` runs on `inputs` again, and in which rows.

    The innermost module is named: the attention of a layer rather than the layer. Further layers
    spread the NaN to rows that have nothing to do with it (a masked key weighs 0, and 0 x NaN is
    NaN), so only the first one tells whose it is.
    """
    num_rows = inputs["input_ids"].shape[1]
    found: list[tuple[str, set[int]]] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if found or not isinstance(first, torch.Tensor) or not bool(first.isnan().any()):
                return
            per_row = first.ndim > 1 and first.shape[:2] == (1, num_rows)
            bad = first[0].isnan().flatten(1).any(1).nonzero().flatten() if per_row else range(num_rows)
            found.append((name, {int(row) for row in bad}))

        return hook

    handles = [m.register_forward_hook(watch(name)) for name, m in model.named_modules() if name]
    try:
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ("the head", set(range(num_rows)))
