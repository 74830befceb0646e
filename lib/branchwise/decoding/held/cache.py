"""Keys and values of the token tree: one preallocated buffer a layer, written by slot.

Shape legend: H key-value heads, N tokens of a step, S slots, D head width.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from branchwise.decoding.pages import zeros

FEWEST_SLOTS = 256
"""Room of a buffer at first."""


class Written(NamedTuple):
    """What `update` gave back for a layer last: its keys and values (1, H, S, D)."""

    layer: int
    keys: Tensor
    values: Tensor


class TreeCache(Cache):
    """A cache whose slots are assigned by a `TokenTree`.

    Before each forward pass `aim` says where the step's tokens go and how many slots are in use;
    `update` then writes them and returns the used part of the buffer. What of it a token may see is
    the attention function's business. With a `capacity`, in tokens, that much is allocated at once;
    otherwise the buffers double as they fill. `last_values` (1, H, N, D) are the values that the last
    layer wrote in the newest step. `compiles`: the model goes through torch.compile.
    """

    def __init__(self, capacity: int | None = None, compiles: bool = False) -> None:
        super().__init__(layer_class_to_replicate=DynamicLayer)
        # Keys and values (1, H, S, D), head by head: read in place, a head's keys follow each other.
        self._buffers: dict[int, tuple[Tensor, Tensor]] = {}
        self._capacity = capacity
        self._slots: slice | dict[torch.device, Tensor] | None = None
        self._used = 0
        self._written: Written | None = None
        self.last_values: Tensor | None = None
        if compiles:
            # Its buffers grow.
            self.update = torch.compiler.disable(self.update)  # type: ignore[method-assign]

    def aim(self, slots: list[int], slots_N: Tensor, used: int) -> None:
        """Set the slots, as numbers and as int64 (N,), of the coming step's tokens and the number of
        slots in use.
        """
        first = slots[0]
        consecutive = slots == list(range(first, first + len(slots)))
        self._slots = slice(first, first + len(slots)) if consecutive else {slots_N.device: slots_N}
        self._used = used

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write keys and values (1, H, N, D) to their slots; returns both up to the last slot in
        use, (1, H, S, D), as views.
        """
        used, slots = self._used, self._slots_on(key_states.device)
        had = self._buffers.get(layer_idx)
        if had is None or had[0].shape[2] < used:
            had = self._grown(layer_idx, key_states, value_states)
        keys, values = had
        keys[:, :, slots] = key_states
        values[:, :, slots] = value_states
        self.last_values = value_states
        self._written = Written(layer_idx, keys.narrow(2, 0, used), values.narrow(2, 0, used))
        return self._written.keys, self._written.values

    def _slots_on(self, device: torch.device) -> slice | Tensor:
        """The slots that were aimed at, for a layer on this device."""
        slots = self._slots
        assert slots is not None, "aim() comes before every forward pass"
        if isinstance(slots, slice):
            return slots
        if device not in slots:
            slots[device] = next(iter(slots.values())).to(device)
        return slots[device]

    def written_as(self, keys: Tensor, values: Tensor) -> Written | None:
        """The layer whose keys and values these are, as `update` has just given them back; None for
        others. Some architectures make new ones of them before they attend.
        """
        written = self._written
        return written if written and keys is written.keys and values is written.values else None

    def _grown(self, layer: int, *like: Tensor) -> tuple[Tensor, Tensor]:
        """Larger buffers of a layer, with what the old ones held."""
        old = self._buffers.get(layer)
        room = 0 if old is None else old[0].shape[2]
        size = max(FEWEST_SLOTS, self._used, 2 * room)
        if self._capacity is not None:
            size = max(self._capacity, self._used)
        keys, values = (zeros((1, one.shape[1], size, one.shape[3]), one) for one in like)
        if old is not None:
            keys[:, :, :room], values[:, :, :room] = old
        self._buffers[layer] = keys, values
        return keys, values

    @property
    def _tensors(self) -> list[Tensor]:
        return [tensor for pair in self._buffers.values() for tensor in pair]

    def move(self, old_U: Tensor) -> None:
        """Bring the tokens of these slots, int64, to the first slots, in this order."""
        for tensor in self._tensors:
            tensor[:, :, : len(old_U)] = tensor[:, :, old_U.to(tensor.device)]

    def clear_nan(self) -> None:
        """Zero what is not a number: under a mask it would still spoil what sees it (0 x NaN)."""
        for tensor in self._tensors:
            tensor.nan_to_num_(nan=0.0)

    @property
    def num_bytes(self) -> int:
        """Memory held by the buffers."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Slots in use; models only ask to make default positions, which the engine always gives."""
        return self._used
