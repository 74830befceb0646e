"""What is fastest here: which attention kernel, and whether packed weights help."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.models.facts import heads_of
from branchwise.decoding.products.packed import PackedWeights

PREFIX, BRANCHES, OWN = 512, 8, 16
"""The step on which kernels are compared: a shared prefix, branches, and tokens of each one's own."""
SECONDS = 1.0
"""How long comparing kernels may take, about."""


def fastest_kernel(model: PreTrainedModel) -> tuple[str, dict[str, float]]:
    """The kernel whose decoding step of one layer is fastest on this device, and all their times in
    seconds. FlexAttention takes part on a GPU only: on a CPU it is not compiled. Where a mask over all is
    fastest, that is for the few branches of one group: steps of many groups go by the cascade.
    """
    candidates = ["dense", "cascade", *(["flex"] if model.device.type == "cuda" else ())]
    step = _example_step(model.device)
    heads, kv_heads, width = heads_of(model)
    query, key, value = (
        torch.randn(1, count, rows, width, device=model.device, dtype=model.dtype)
        for count, rows in ((heads, BRANCHES), (kv_heads, step.num_slots), (kv_heads, step.num_slots))
    )
    scoring = Scoring(width**-0.5, None, None)

    def work(name: str) -> Callable[[], Tensor]:
        kernel: Kernel = KERNELS[name](TreeCache())
        kernel.begin(step)
        return lambda: kernel.attend(query, key, value, scoring)

    times = _race({name: work(name) for name in candidates}, model.device)
    best = min(times, key=times.__getitem__)
    return "mixed" if best == "dense" else best, times


def _example_step(device: torch.device) -> TreeStep:
    """The decoding step of BRANCHES branches over one prefix."""
    tree = TokenTree(device)
    root = tree.add((), [0] * PREFIX)
    tips = [tree.add((root,), [0] * OWN) for _ in range(BRANCHES)]
    tree.place(tree.pending(tips, 10**6))
    for tip in tips:
        tip.tokens.append(0)
    pending = tree.pending(tips, BRANCHES)
    slots_N = torch.tensor(tree.place(pending), device=device)
    position_N = torch.tensor(pending.positions, device=device)
    return TreeStep(tree, pending, slots_N, position_N, tree.slots.high)


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


@torch.inference_mode()
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
