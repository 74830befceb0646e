"""Which attention kernel is fastest here."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention.fused import why_not_fused
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.models.facts import heads_of
from branchwise.decoding.racing import race

PREFIX, BRANCHES, OWN = 512, 8, 16
"""The step on which kernels are compared: a shared prefix, branches, and tokens of each one's own."""
SECONDS = 1.0
"""How long comparing kernels may take, about."""
MOST_TURNS = 20
_raced: dict[tuple, dict[str, float]] = {}
"""What was measured in this process, by kernels, heads, device, dtype and threads."""


def fastest_kernel(model: PreTrainedModel) -> tuple[str, dict[str, float]]:
    """The kernel whose decoding step of one layer is fastest on this device, and all their times in
    seconds. FlexAttention takes part on a GPU only: on a CPU it is not compiled. Where a mask over all is
    fastest, that is for the few branches of one group: steps of many groups go by the cascade.
    """
    candidates = ["dense", "cascade", *(["flex"] if model.device.type == "cuda" else ())]
    if why_not_fused(model) is None:
        candidates.append("fused")
    shape = heads_of(model)
    found = (tuple(candidates), shape, model.device, model.dtype, torch.get_num_threads())
    if found not in _raced:
        _raced[found] = _times(candidates, shape, model.device, model.dtype)
    times = _raced[found]
    best = min(times, key=times.__getitem__)
    return "mixed" if best == "dense" else best, times


def _times(
    candidates: Sequence[str], shape: tuple[int, int, int], device: torch.device, dtype: torch.dtype
) -> dict[str, float]:
    """Seconds of each kernel for the example's step of one layer."""
    step, (heads, kv_heads, width) = _example_step(device), shape
    query, key, value = (
        torch.randn(1, count, rows, width, device=device, dtype=dtype)
        for count, rows in ((heads, BRANCHES), (kv_heads, step.num_slots), (kv_heads, step.num_slots))
    )
    scoring = Scoring(width**-0.5, None, None)

    def work(name: str) -> Callable[[], Tensor]:
        kernel: Kernel = KERNELS[name](TreeCache())
        kernel.begin(step)
        return lambda: kernel.attend(query, key, value, scoring)

    return race({name: work(name) for name in candidates}, device, SECONDS, MOST_TURNS)


def _example_step(device: torch.device) -> TreeStep:
    """The decoding step of BRANCHES branches over one prefix."""
    tree = TokenTree(device)
    root = tree.add((), [0] * PREFIX)
    tips = [tree.add((root,), [0] * OWN) for _ in range(BRANCHES)]
    tree.place(tree.pending(tips, 10**6))
    for tip in tips:
        tip.tokens.append(0)
    pending = tree.pending(tips, BRANCHES)
    slots = tree.place(pending)
    slots_N = torch.tensor(slots, device=device)
    position_N = torch.tensor(pending.positions, device=device)
    return TreeStep(tree, pending, slots, slots_N, position_N, tree.slots.high)
