"""Whether an architecture is one that the tree decodes exactly, found out before it is used.

Where a configuration changes what it does beyond some length (a window, a choice of the likeliest keys),
the comparison is made with that length made short, so that it is passed.
"""

from typing import Any

import torch
from transformers import PreTrainedModel

from branchwise.decoding.attention.plan import LONG_CHUNK, LONG_RUN
from branchwise.decoding.forward import ForwardPass
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.models.facts import max_context_of
from branchwise.decoding.models.known import (
    FAILURES,
    allowed_difference,
    is_known_exact,
    is_unmodified,
    told,
)
from branchwise.decoding.models.lengths import rotary_kinds_by_length, short_lengths
from branchwise.decoding.options import Products, TreeOptions
from branchwise.errors import UserError

_exact: set[tuple] = set()


def check_exactness(model: PreTrainedModel, kernel: str, products: Products = "auto") -> None:
    """Compare a small tree of random tokens with plain forward passes, once for a configuration.

    Raises UserError where logits are not the same, with the difference, and for what is known to
    depend on more than a token's own branch: rotary angles that are chosen by the longest prompt of a
    step, attention in chunks, layers that are not attention.
    """
    name = model.config.model_type
    config = model.config.get_text_config()
    _refuse_known_wrong(name, config)
    if is_known_exact(model):
        return
    is_plain = is_unmodified(model)
    # The self-test may choose either; torch's own is right without a check.
    products = "plain" if products == "plain" else "rows"
    key = (kernel, products, model.dtype, model.device.type, type(model), config.to_json_string())
    if is_plain and key in _exact:
        return
    try:
        difference, spread = _difference(model, kernel, products)
    except FAILURES as error:
        raise UserError(
            f"architecture {name} could not be checked with the tree decoder ({told(error)})",
            "use decoder hf for this model",
        ) from error
    allowed = allowed_difference(model, spread)
    if not difference <= allowed:
        raise UserError(
            f"architecture {name} failed the exactness check of the tree decoder: its logits differ "
            f"by {difference:.3g} from plain decoding (allowed: {allowed:.3g})",
            "use decoder hf for this model",
        )
    if is_plain:
        _exact.add(key)


def _refuse_known_wrong(name: str, config: Any) -> None:
    kinds = rotary_kinds_by_length(config)
    layers = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    chunked = bool(getattr(config, "attention_chunk_size", None))
    reason = None
    if kinds:
        reason = f"its rotary angles ({', '.join(sorted(kinds))}) depend on the longest prompt of a step"
    elif layers or chunked:
        reason = f"it has layers of type {', '.join(sorted(layers)) or 'chunked_attention'}"
    if reason:
        raise UserError(
            f"architecture {name} cannot be decoded in a tree: {reason}", "use decoder hf for this model"
        )


@torch.no_grad()
def _difference(model: PreTrainedModel, kernel: str, products: Products) -> tuple[float, float]:
    """Largest difference of logits, and how far apart plain logits are."""
    generator = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size

    def draw(count: int) -> list[int]:
        return torch.randint(0, size, (count,), generator=generator).tolist()

    # Long enough for every kind of part that a cascade has, where the model reads so far.
    reach = max_context_of(model) - 2
    shared = draw(min(LONG_RUN + 40, max(1, reach * 2 // 3)))
    longest = max(1, min(LONG_CHUNK + 6, reach - len(shared)))
    prompts = [shared + draw(min(count, longest)) for count in (3, longest, 1)]
    with short_lengths(model):
        tree = TokenTree(model.device)
        root = tree.add(())
        leaves = [tree.insert(root, prompt)[0] for prompt in prompts]
        options = TreeOptions(max_step_tokens=LONG_CHUNK + 30, products=products)
        forward = ForwardPass(model, tree, kernel, options)
        logits: dict = {}
        while any(leaf.num_pending for leaf in leaves):
            logits |= forward(leaves).logits
        # Two decoding steps: the second goes on from what the first kept.
        for _ in range(2):
            for leaf, prompt, token in zip(leaves, prompts, draw(len(leaves)), strict=True):
                leaf.tokens.append(token)
                prompt.append(token)
            logits |= forward(leaves).logits
        largest, spread = 0.0, 0.0
        for leaf, prompt in zip(leaves, prompts, strict=True):
            ids = torch.tensor([prompt], device=model.device)
            plain_V = model(ids, use_cache=False).logits[0, -1].float()
            largest = max(largest, float((logits[leaf] - plain_V).abs().max()))
            spread = max(spread, float(plain_V.max() - plain_V.min()))
    return largest, spread
