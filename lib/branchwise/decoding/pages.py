"""Large arrays in pages of their own, apart from the C library's heap.

On the heap the arrays of a pass, and keys and values that outgrow their buffers, leave holes that none of
the next fits into: a third of all memory in the end. Pages that are taken from the system for each array
would be cleared anew each time, a sixth of a prefill's time. So what a pass used serves the next, and
`KEPT_BYTES` of it stay with the process.
"""

import math
import mmap
import os
import weakref
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

LEAST_BYTES = 2**20
"""Smaller arrays are the heap's."""
KEPT_BYTES = 2**25
"""Of blocks that are free, what is kept from pass to pass."""
_SUMS = torch.add, torch.Tensor.add


def _pages(num_bytes: int) -> mmap.mmap:
    """New ones, all zero. Private: what a forked process writes to them is its own."""
    return mmap.mmap(-1, num_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


class Scratch:
    """Arrays that live for moments, in blocks of pages. A block comes back when its array is gone.

    Threads may share it.
    """

    def __init__(self) -> None:
        self._free: list[mmap.mmap] = []
        # Blocks come back without it, whenever Python lets go of an array, here among others.
        self._lock = Lock()

    def empty(self, *shape: int) -> Tensor:
        """An array of this shape, fp32 on the CPU, whatever its memory held."""
        num_values = math.prod(shape)
        if 4 * num_values < LEAST_BYTES:
            return torch.empty(shape, dtype=torch.float32, device="cpu")
        block = self._block(4 * num_values)
        array = np.frombuffer(block, np.float32, num_values)
        # The tensor's storage keeps the array, and nobody else does.
        weakref.finalize(array, self._free.append, block).atexit = False
        return torch.from_numpy(array).view(shape)

    def _block(self, num_bytes: int) -> mmap.mmap:
        """The smallest free block that holds so much; else a new one, in place of the largest."""
        with self._lock:
            free = sorted(self._free, key=len)
            for block in free:
                if len(block) >= num_bytes:
                    self._free.remove(block)
                    return block
            if free:
                self._free.remove(free[-1])
        return _pages(num_bytes)

    def renew_lock(self) -> None:
        """In a forked process, where nobody may be left to release it."""
        self._lock = Lock()

    def tidy(self) -> None:
        """Give free blocks back to the system, the largest first, down to `KEPT_BYTES`."""
        with self._lock:
            free = sorted(self._free, key=len)
            while sum(map(len, free)) > KEPT_BYTES:
                self._free.remove(free.pop())

    @property
    def num_free_bytes(self) -> int:
        """What no array has now."""
        return sum(map(len, self._free))


SCRATCH = Scratch()
"""The one of this process."""
os.register_at_fork(after_in_child=SCRATCH.renew_lock)


def zeros(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros of the dtype and on the device of `like`. Large ones on a CPU take memory as they are written
    to, and give it back when they go.
    """
    num_bytes = math.prod(shape) * like.element_size()
    if not like.is_cpu or num_bytes < LEAST_BYTES:
        return like.new_zeros(shape)
    return torch.frombuffer(_pages(num_bytes), dtype=like.dtype).view(shape)


def sums_in_pages(num_values: int) -> AbstractContextManager[Any]:
    """While it lasts, large sums of two arrays of one shape (a layer's residuals) are `SCRATCH`'s.

    Every call of torch is looked at for it: not where the largest have so few values that they are small.
    """
    return _Sums() if 4 * num_values >= LEAST_BYTES else nullcontext()


class _Sums(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in _SUMS and not kwargs and _are_large(*args):
            return torch.add(*args, out=SCRATCH.empty(*args[0].shape))
        return func(*args, **(kwargs or {}))


def _are_large(*summands: Any) -> bool:
    """Whether they are two large arrays of one shape that may be `SCRATCH`'s."""
    return (
        all(isinstance(one, Tensor) and is_plain(one) for one in summands)
        and len({one.shape for one in summands}) == 1
        and summands[0].nbytes >= LEAST_BYTES
    )


def is_plain(array: Tensor) -> bool:
    """Whether an array is fp32 on the CPU, and no gradients are taken: all that `SCRATCH` and the
    compiled kernels know.
    """
    return array.dtype == torch.float32 and array.is_cpu and not torch.is_grad_enabled()
