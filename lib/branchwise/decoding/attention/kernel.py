"""What every attention kernel is: an object that owns what it works out for a step.

Shape legend: A query heads, H key-value heads, G = A / H, N query tokens of a step, S key slots in
use, D head width.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from branchwise.decoding.attention.scores import Scoring, whole
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.errors import UserError


class Kernel(ABC):
    """Attention of a step's tokens over the tree; one object for each decoder.

    `begin` names the step; `attend` is then called by every layer. What is worked out for a step (masks,
    plans) is the kernel's own, and gone with the next `begin`.
    """

    name: ClassVar[str]
    differentiable: ClassVar[bool] = False
    """Whether gradients of what it gives are right."""

    def __init__(self, cache: TreeCache) -> None:
        self.cache = cache
        self.num_calls = 0
        self.step: TreeStep | None = None
        self._unmasked: dict[int | None, bool] = {}

    def begin(self, step: TreeStep) -> None:
        """A new step, whose tokens have their slots."""
        self.step = step
        self.num_calls = 0
        self._unmasked = {}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        """Query (1, A, N, D) over key and value (1, H, S, D), as the cache gave them or as the model
        made them anew from that; returns (1, N, A, D), contiguous (some models take a view of it).
        """
        self.num_calls += 1
        if not self.differentiable and torch.is_grad_enabled() and query.requires_grad:
            raise UserError(
                f"attention kernel {self.name} has no right gradients",
                "train with the trainer's own attention, or decode under torch.no_grad()",
            )
        window = scoring.window
        if window not in self._unmasked:
            assert self.step is not None, "begin() comes before every forward pass"
            self._unmasked[window] = self.step.sees_everything(window)
        attend = self._attend_all if self._unmasked[window] else self._attend
        return attend(query, key, value, scoring).contiguous()

    @abstractmethod
    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        """`attend` where something is to be masked."""

    def _attend_all(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        """`attend` where one token sees all keys."""
        return whole(query, key, value, scoring)

    @property
    def knows_threads(self) -> bool:
        """Whether the last bits of what it gives for this step may depend on the number of threads."""
        return True

    @property
    def copied_bytes(self) -> int:
        """Memory of the keys and values that are held gathered, in bytes."""
        return 0

    def forget(self) -> None:
        """Let go of what is kept from step to step."""
        self.step = None

    def forget_copies(self) -> None:
        """What was gathered of keys and values is to be gathered anew: they were changed in place."""
        # Only some kernels gather.
        return None
