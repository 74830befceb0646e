"""Keys that a step gathers, from buffers with room and from what architectures make of them."""

import pytest
import torch
from torch import Tensor

from branchwise.decoding.attention.cascade import _select

SLOTS_PK = torch.tensor([[0, 6, 3], [5, 5, 1]])


def as_made(values_HSD: Tensor) -> Tensor:
    return values_HSD


def with_room(values_HSD: Tensor) -> Tensor:
    """The first slots of a buffer that has room for more, and of a batch of one."""
    heads, slots, width = values_HSD.shape
    buffer = torch.full((1, heads, slots + 5, width), torch.nan)
    buffer[0, :, :slots] = values_HSD
    return buffer.narrow(2, 0, slots)[0]


def further_in(values_HSD: Tensor) -> Tensor:
    """Not at the beginning of its memory, and at its very end."""
    return torch.cat([torch.full((7,), torch.nan), values_HSD.flatten()])[7:].view(values_HSD.shape)


def turned(values_HSD: Tensor) -> Tensor:
    return values_HSD.transpose(0, 1).contiguous().transpose(0, 1)


def expanded(values_HSD: Tensor) -> Tensor:
    """The heads are one."""
    return values_HSD[:1].expand(len(values_HSD), -1, -1)


@pytest.mark.parametrize("made", [as_made, with_room, further_in, turned, expanded])
def test_keys_are_selected_whatever_their_order_in_memory(made) -> None:
    values_HSD = made(torch.arange(3 * 7 * 4.0).view(3, 7, 4))
    found_PHKD = _select(values_HSD, SLOTS_PK)
    assert found_PHKD.shape == (2, 3, 3, 4)
    for problem, slots in enumerate(SLOTS_PK.tolist()):
        for place, slot in enumerate(slots):
            assert torch.equal(found_PHKD[problem, :, place], values_HSD[:, slot])
