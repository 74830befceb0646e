"""What a decoder finds out about its model and machine before it starts.

Whether the architecture is one that the tree's attention gets right, which kernel is fastest here, and
whether packed weights help.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.attention.kernels import KERNELS, Scoring
from branchwise.decoding.attention.plan import LONG_CHUNK, LONG_RUN
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.forward import ForwardPass
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.models.facts import heads_of
from branchwise.decoding.products.packed import PackedWeights
from branchwise.errors import UserError

KNOWN_EXACT = frozenset(
    "qwen2 qwen3 llama mistral phi3 gemma2 gemma3_text olmo2 smollm3 gpt_neox".split()
)
"""Model types that the project's tests hold to plain decoding, with random weights and every kernel."""

PREFIX, BRANCHES, OWN = 512, 8, 16
"""The step on which kernels are compared: a shared prefix, branches, and tokens of each one's own."""
SECONDS = 1.0
"""How long comparing kernels may take, about."""

_exact: set[tuple[str, torch.dtype, str]] = set()


# ----- is it exact? -----


def check_exactness(model: PreTrainedModel, kernel: str) -> None:
    """Compare a small tree of random tokens with plain forward passes, once for a configuration.

    Raises UserError where logits are not the same, with the difference, and for what is known to
    depend on more than a token's own branch: rotary angles that are chosen by the longest prompt of a
    step, attention in chunks, layers that are not attention.
    """
    name = model.config.model_type
    config = model.config.get_text_config()
    _refuse_known_wrong(name, config)
    key = (kernel, model.dtype, config.to_json_string())
    if name in KNOWN_EXACT or key in _exact:
        return
    try:
        difference, spread = _difference(model, kernel)
    except (RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"architecture {name} could not be checked with the tree decoder "
            f"({type(error).__name__}: {str(error).splitlines()[0]})",
            "use decoder hf for this model",
        ) from error
    # Rounding differs with the shape of a product: little in fp32, a few parts in a hundred in 16 bit.
    allowed = spread * (1e-4 if model.dtype == torch.float32 else 0.1)
    if not difference <= allowed:
        raise UserError(
            f"architecture {name} failed the exactness check of the tree decoder: its logits differ "
            f"by {difference:.3g} from plain decoding (allowed: {allowed:.3g})",
            "use decoder hf for this model",
        )
    _exact.add(key)


def _refuse_known_wrong(name: str, config: Any) -> None:
    rope = getattr(config, "rope_parameters", None) or {}
    # One set of parameters, or one for each type of layer.
    sets = [rope, *(value for value in rope.values() if isinstance(value, dict))]
    kinds = {one.get("rope_type") for one in sets} & {"dynamic", "longrope"}
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
def _difference(model: PreTrainedModel, kernel: str) -> tuple[float, float]:
    """Largest difference of logits, and how far apart plain logits are."""
    generator = torch.Generator().manual_seed(0)
    size = model.config.get_text_config().vocab_size

    def draw(count: int) -> list[int]:
        return torch.randint(0, size, (count,), generator=generator).tolist()

    # Long enough for every kind of part that a cascade has, and for windows that the config may have.
    shared = draw(LONG_RUN + 40)
    prompts = [shared + draw(count) for count in (3, LONG_CHUNK + 6, 1)]
    tree = TokenTree(model.device)
    root = tree.add(())
    leaves = [tree.insert(root, prompt)[0] for prompt in prompts]
    forward = ForwardPass(model, tree, kernel, max_step_tokens=LONG_CHUNK + 30, packed_weights=False)
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


# ----- what is fast? -----


def fastest_kernel(model: PreTrainedModel) -> tuple[str, dict[str, float]]:
    """The kernel whose decoding step of one layer is fastest on this device, and all their times in
    seconds. FlexAttention takes part on a GPU only: on a CPU it is not compiled.
    """
    candidates = [name for name in KERNELS if name != "flex" or model.device.type == "cuda"]
    step = _example_step(model.device)
    heads, kv_heads, width = heads_of(model)
    query, key, value = (
        torch.randn(count, rows, width, device=model.device, dtype=model.dtype)
        for count, rows in ((heads, BRANCHES), (kv_heads, step.num_used), (kv_heads, step.num_used))
    )
    scoring = Scoring(width**-0.5, None, None)

    def work(name: str) -> Callable[[], Tensor]:
        return lambda: KERNELS[name](query, key, value, step, scoring)

    times = _race({name: work(name) for name in candidates}, model.device)
    return min(times, key=times.__getitem__), times


def _example_step(device: torch.device) -> TreeStep:
    """The decoding step of BRANCHES branches over one prefix."""
    tree = TokenTree(device)
    root = tree.add((), [0] * PREFIX)
    tips = [tree.add((root,), [0] * OWN) for _ in range(BRANCHES)]
    tree.place(tree.pending(tips, 10**6))
    for tip in tips:
        tip.tokens.append(0)
    pending = tree.pending(tips, BRANCHES)
    slots_N = tree.place(pending)
    return TreeStep(tree, pending, slots_N, torch.tensor(pending.positions, device=device))


def packing_helps(model: PreTrainedModel) -> bool:
    """Whether the model's largest matrix is multiplied faster by a few rows in its packed layout."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if model.device.type != "cpu" or model.dtype != torch.float32 or not linear:
        return False
    largest = max(linear, key=lambda m: m.weight.numel() if m.weight.shape[0] < 2**16 else 0)
    rows = torch.randn(BRANCHES, largest.in_features)
    plain = _race({"plain": lambda: largest(rows)}, model.device)["plain"]
    with PackedWeights(largest).attached():
        packed = _race({"packed": lambda: largest(rows)}, model.device)["packed"]
    return packed < 0.9 * plain


@torch.no_grad()
def _race(works: dict[str, Callable[[], Tensor]], device: torch.device) -> dict[str, float]:
    """The best time of each, in seconds, run in turn until about a second is over."""
    best = dict.fromkeys(works, float("inf"))
    for name in works:
        works[name]()
    end = time.perf_counter() + SECONDS
    for _ in range(20):
        for name, work in works.items():
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            started = time.perf_counter()
            work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            best[name] = min(best[name], time.perf_counter() - started)
        if time.perf_counter() > end:
            break
    return best
