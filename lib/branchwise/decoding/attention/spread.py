"""Attention of a model whose layers lie on several devices: a kernel for each of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache


class Spread(Kernel):
    """Kernels of one kind, each for the layers of one device, which has the step's masks and plans there.

    What lies with the tree (slots, positions, masks) crosses to another device once a step, not once a
    layer.
    """

    name = "spread"

    def __init__(self, cache: TreeCache, kind: Callable[[TreeCache], Kernel]) -> None:
        super().__init__(cache)
        self._kind = kind
        self._kernels: dict[torch.device, Kernel] = {}
        self._begun: set[torch.device] = set()

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        self._begun = set()

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        self.num_calls += 1
        device = query.device
        if device not in self._kernels:
            self._kernels[device] = self._kind(self.cache)
        kernel = self._kernels[device]
        if device not in self._begun:
            assert self.step is not None, "begin() comes before every forward pass"
            kernel.begin(self.step.on(device))
            self._begun.add(device)
        return kernel.attend(query, key, value, scoring)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        return self.attend(query, key, value, scoring)

    @property
    def copied_bytes(self) -> int:
        """Memory of what all of them have gathered, in bytes."""
        return sum(kernel.copied_bytes for kernel in self._kernels.values())

    def forget(self) -> None:
        super().forget()
        for kernel in self._kernels.values():
            kernel.forget()

    def forget_copies(self) -> None:
        for kernel in self._kernels.values():
            kernel.forget_copies()
