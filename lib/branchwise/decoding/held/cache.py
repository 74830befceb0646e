"""Keys and values of the token tree: one preallocated buffer a layer, written by slot.

Shape legend: H key-value heads, N tokens of a step, S slots, D head width.
"""

from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer


class TreeCache(Cache):
    """A cache whose slots are assigned by a `TokenTree`.

    Before each forward pass `aim` says where the step's tokens go and how many slots are in use;
    `update` then writes them and returns the used part of the buffer. What of it a token may see is
    the attention function's business. With a `capacity`, in tokens, that much is allocated at once;
    otherwise the buffers double as they fill. `last_values` (1, H, N, D) are the values that the last
    layer wrote in the newest step.
    """

    def __init__(self, capacity: int | None = None) -> None:
        super().__init__(layer_class_to_replicate=DynamicLayer)
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
        self._slots_N: Tensor | None = None
        self._used = 0
        self._capacity = capacity
        self._addresses: dict[tuple[str, int], int] = {}
        self.last_values: Tensor | None = None

    def aim(self, slots_N: Tensor, used: int) -> None:
        """Set the slots, int64 (N,), of the coming step's tokens and the number of slots in use."""
        self._slots_N = slots_N
        self._used = used

    @torch.compiler.disable  # its buffers grow
    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values (1, H, N, D) to their slots; returns both up to the last slot in
        use, (1, H, S, D), as views.

        Memory is laid out slot by slot (S, H, D), so that gathering slots copies whole rows.
        """
        assert self._slots_N is not None, "aim() comes before every forward pass"
        keys_SHD = self._buffer(self._keys, layer_idx, key_states)
        values_SHD = self._buffer(self._values, layer_idx, value_states)
        self._addresses["keys", layer_idx] = keys_SHD.data_ptr()
        self._addresses["values", layer_idx] = values_SHD.data_ptr()
        self.last_values = value_states
        keys_SHD[self._slots_N] = key_states[0].transpose(0, 1)
        values_SHD[self._slots_N] = value_states[0].transpose(0, 1)
        used = slice(0, self._used)
        return keys_SHD[used].transpose(0, 1)[None], values_SHD[used].transpose(0, 1)[None]

    def _buffer(self, buffers: dict[int, Tensor], layer: int, like: Tensor) -> Tensor:
        buffer = buffers.get(layer)
        if buffer is None or len(buffer) < self._used:
            size = max(256, self._used, 0 if buffer is None else 2 * len(buffer))
            if self._capacity is not None:
                size = max(self._capacity, self._used)
            larger = like.new_zeros(size, like.shape[1], like.shape[3])
            if buffer is not None:
                larger[: len(buffer)] = buffer
            buffer = buffers[layer] = larger
        return buffer

    def move(self, old_U: Tensor) -> None:
        """Bring the tokens of these slots, int64, to the first slots, in this order."""
        for buffer_SHD in (*self._keys.values(), *self._values.values()):
            buffer_SHD[: len(old_U)] = buffer_SHD[old_U]

    def clear_nan(self) -> None:
        """Zero what is not a number: under a mask it would still spoil what sees it (0 x NaN)."""
        for tensor in (*self._keys.values(), *self._values.values()):
            tensor.nan_to_num_(nan=0.0)

    def holds(self, tensor: Tensor) -> bool:
        """Whether this is a layer's keys or values as they lie in its buffer. Some architectures make
        others of them before they attend.
        """
        return tensor.data_ptr() in self._addresses.values()

    @property
    def room(self) -> int:
        """Slots that the buffers have."""
        return min((len(buffer) for buffer in self._keys.values()), default=0)

    @property
    def num_bytes(self) -> int:
        """Memory held by the buffers."""
        tensors = [*self._keys.values(), *self._values.values()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Slots in use; models only ask to make default positions, which the engine always gives."""
        return self._used
