"""Which of several ways to compute the same is fastest here."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from branchwise.decoding.models.facts import synchronize


@torch.inference_mode()
def race(
    works: Mapping[str, Callable[[], Any]], device: torch.device, most_s: float, most_turns: int
) -> dict[str, float]:
    """The best time of each, in seconds: once untimed, then in turn until `most_s` are over, about, or
    each has had `most_turns`.
    """
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work()
    end = time.perf_counter() + most_s
    for _ in range(most_turns):
        for name, work in works.items():
            synchronize(device)
            started = time.perf_counter()
            work()
            synchronize(device)
            best[name] = min(best[name], time.perf_counter() - started)
        if time.perf_counter() > end:
            break
    return best
