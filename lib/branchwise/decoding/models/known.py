"""What is known of a model before it is compared with anything, and how far numbers may differ."""

import torch
from torch import nn
from transformers import PreTrainedModel

KNOWN_EXACT = frozenset(
    "qwen2 qwen3 llama mistral phi3 gemma2 gemma3_text olmo2 smollm3 gpt_neox".split()
)
"""Model types that the project's tests hold to plain decoding in fp32, with random weights and every
kernel: unmodified models of these are not compared again."""

_PLAIN = (
    "transformers.models.",
    "transformers.activations",
    "transformers.pytorch_utils",
    "torch.nn.modules.",
)
"""Where modules come from that nobody has exchanged for others."""

FAILURES = (RuntimeError, TypeError, ValueError, AttributeError, IndexError, KeyError)
"""What a model raises that cannot be run in the way in which it is tried."""


def is_known_exact(model: PreTrainedModel) -> bool:
    """Whether the project's tests speak for this model: its type, unmodified, in the dtype they use."""
    known = model.config.model_type in KNOWN_EXACT and model.dtype == torch.float32
    return known and is_unmodified(model)


def allowed_difference(model: PreTrainedModel, spread: float) -> float:
    """How far logits may differ that lie `spread` apart: rounding differs with the shape of a product,
    little in fp32, a few parts in a hundred in 16 bit.
    """
    return spread * (1e-4 if model.dtype == torch.float32 else 0.1)


def told(error: BaseException) -> str:
    """An error of somebody else's code in a line: its type, and the first line of what it says."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def is_unmodified(model: nn.Module) -> bool:
    """Whether a model is made of transformers' and torch's own modules and plain parameters of one
    dtype, with nobody's hooks or functions in them.
    """
    dtypes = set()
    for module in model.modules():
        home = type(module).__module__
        own = home.startswith(_PLAIN)
        hooked = module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module)
        if not own or hooked:
            return False
        for parameter in module.parameters(recurse=False):
            if type(parameter) is not nn.Parameter:
                return False
            dtypes.add(parameter.dtype)
    return len(dtypes) == 1
